"""How many requests may be at work or waiting at once: a bound for each person, and one for all. It
counts rows and makes none."""

from __future__ import annotations

from django.conf import settings
from django.db import connection

from chatsite.accounts.models import User
from chatsite.api import errors

# By hand: every call asks for it, and to compose it takes Django longer than to run it.
COUNT = """
SELECT COUNT(*), COUNT(CASE WHEN owner_id = %s THEN 1 END)
FROM gateway_generation WHERE status = 'live'
"""


def admit(user: User, count: int) -> None:
    """Refuse so many more where that would be too many."""
    with connection.cursor() as cursor:
        cursor.execute(COUNT, [user.pk])
        everybody, own = cursor.fetchone()
    if own + count > settings.CHATSITE_PENDING_PER_USER:
        raise errors.too_many(settings.CHATSITE_PENDING_PER_USER)
    if everybody + count > settings.CHATSITE_PENDING:
        raise errors.overloaded()
