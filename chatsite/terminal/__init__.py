"""The chat on the command line: it starts answers as everybody does, and reads their logs."""
