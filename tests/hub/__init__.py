"""A hub for tests: it speaks the protocol of the real one, and fails where it is told to."""
