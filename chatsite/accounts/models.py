"""Who may come in: the user model, fixed from the first migration."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser


class User(AbstractUser):
    """A person with an account. `is_staff` marks an admin of the site."""
