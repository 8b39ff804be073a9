"""What the pages need of this room in their templates."""
