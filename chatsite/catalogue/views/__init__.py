"""The admin's pages of this room, one module for each thing that they are about."""
