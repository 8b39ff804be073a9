"""The site: people, conversations and rows. Knows the database and the browser, never weights."""
