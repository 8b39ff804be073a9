"""From the laptop to the office: copies the site from SQLite to PostgreSQL. The old is only read."""
