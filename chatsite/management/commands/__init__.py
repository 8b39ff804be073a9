"""The commands of the whole product: parse options, call a room, print."""
