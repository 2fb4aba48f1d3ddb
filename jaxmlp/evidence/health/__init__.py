"""Health: what ails a network, measured, named, with its cure."""
