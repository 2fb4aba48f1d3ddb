"""The evidence: every formula checked on the user's own machine, and every fault named."""
