"""Engines: one protocol, several implementations, each alone in a child process."""
