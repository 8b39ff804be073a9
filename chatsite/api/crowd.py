"""How many requests may be at work or waiting at once: a bound for each person, and one for all. It
counts rows and makes none."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Count, Q

from chatsite.accounts.models import User
from chatsite.api import errors
from chatsite.gateway.models import Generation


def admit(user: User, count: int) -> None:
    """Refuse so many more where that would be too many."""
    live = Generation.objects.filter(status=Generation.Status.LIVE)
    found = live.aggregate(all=Count("pk"), own=Count("pk", filter=Q(owner=user)))
    if found["own"] + count > settings.CHATSITE_PENDING_PER_USER:
        raise errors.too_many(settings.CHATSITE_PENDING_PER_USER)
    if found["all"] + count > settings.CHATSITE_PENDING:
        raise errors.overloaded()
