"""The one door to the engine room: start, follow, cancel a generation; ask for its place in the
queue."""
