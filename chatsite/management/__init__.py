"""The place where Django looks for commands."""
