"""Student: a backward pass in NumPy, the slips it may hold, and the faults planted to test the checker."""
