"""The one writer of API keys: make, find, revoke. What a request may do with one is the API's."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from chatsite.accounts.errors import TooManyKeysError
from chatsite.accounts.models import ApiKey, User
from chatsite.prepared import Prepared

# Every key begins with it, so that no other service's key is taken for one of ours.
MARK = "cs-"
SHOWN = len(MARK) + 8
# Last use is for the eye: written at most this often, or every request would be a write.
USE_PACE = timedelta(minutes=1)
# Working keys of one person: who needs more has lost count of them.
LIMIT = 50
CANDIDATES = Prepared(1, lambda prefix: ApiKey.objects.filter(prefix=prefix).select_related("user"))


@transaction.atomic
def make_key(
    user: User,
    name: str = "",
    *,
    expires_at: datetime | None = None,
    allowed: Sequence[str] = (),
) -> tuple[ApiKey, str]:
    """A new key and its text, which is not kept and cannot be shown again."""
    # Held until the commit: two requests at one moment cannot both take the last place.
    User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if working_keys(user).count() >= LIMIT:
        raise TooManyKeysError(LIMIT)
    text = MARK + secrets.token_urlsafe(32)
    key = ApiKey.objects.create(
        user=user,
        name=name,
        prefix=text[:SHOWN],
        hash=digest(text),
        expires_at=expires_at,
        allowed=list(allowed),
    )
    return key, text


def find_key(text: str) -> ApiKey | None:
    """The usable key with this text, with its owner, whoever that is by now."""
    hashed = digest(text)
    found = (key for key in CANDIDATES(text[:SHOWN]) if secrets.compare_digest(key.hash, hashed))
    return next((key for key in found if key.state == "open"), None)


def working_keys(user: User) -> QuerySet[ApiKey]:
    return ApiKey.objects.usable().filter(user=user)


def past_keys(user: User) -> QuerySet[ApiKey]:
    """What is revoked or expired, the newest first."""
    return ApiKey.objects.filter(user=user).exclude(pk__in=working_keys(user).values("pk"))


def revoke_key(user: User, pk: int) -> bool:
    """From the next call on it opens nothing; False where this person has no such key."""
    mine = ApiKey.objects.filter(user=user, pk=pk, revoked_at=None)
    return bool(mine.update(revoked_at=timezone.now()))


def note_use(key: ApiKey) -> None:
    now = timezone.now()
    if key.last_used_at is None or now - key.last_used_at > USE_PACE:
        old = Q(last_used_at=None) | Q(last_used_at__lt=now - USE_PACE)
        ApiKey.objects.filter(old, pk=key.pk).update(last_used_at=now)


def digest(text: str) -> str:
    """Keys carry 256 random bits: a plain hash is enough."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
