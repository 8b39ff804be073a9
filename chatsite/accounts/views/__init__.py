"""The pages of this room: getting in, one's own settings, people, the site."""
