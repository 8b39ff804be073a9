"""The tests and the gates: `python -m tests` runs them all, as CI does."""
