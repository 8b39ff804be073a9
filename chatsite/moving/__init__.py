"""From the laptop to the office: copies a site from SQLite to PostgreSQL. The old one stays."""
