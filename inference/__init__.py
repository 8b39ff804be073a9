"""The engine room: models and tokens. Has never heard of Django, of users' rows or of pages."""
