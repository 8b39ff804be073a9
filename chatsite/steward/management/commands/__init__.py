"""The command that the steward runs as."""
