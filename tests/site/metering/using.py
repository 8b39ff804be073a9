"""How the tests of this room use something: rows that have ended, and use of other days."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils import timezone

from chatsite.accounts.models import ApiKey, User
from chatsite.gateway import actions as gateway
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import End, ModelSpec, Sampling
from chatsite.metering import actions
from chatsite.metering.models import Usage
from inference.contract import Finish

SPEC = ModelSpec("echo", "echo", {})
STATS = {"prompt_tokens": 10, "cached_tokens": 4, "completion_tokens": 5}


def begin(user: User, key: ApiKey | None = None, kind: str = "api", **fields: Any) -> Generation:
    return gateway.start(
        owner=user,
        kind=kind,
        spec=SPEC,
        sampling=Sampling(),
        prompt="Go",
        key=key.pk if key else None,
        **fields,
    )


def end(generation: Generation, reason: str = "stop", **stats: int) -> bool:
    finish = Finish(generation.pk.hex, reason)
    return actions.close(generation, End(finish, {**STATS, **stats}))


def use(user: User, key: ApiKey | None = None, kind: str = "api", **fields: Any) -> Generation:
    """An answer that has ended."""
    stats = {name: fields.pop(name) for name in STATS if name in fields}
    generation = begin(user, key, kind, **fields)
    assert end(generation, **stats)
    return generation


def used(user: User, days_ago: int = 0, **fields: Any) -> Usage:
    """A row of usage as it would be by now."""
    day = timezone.localdate() - timedelta(days=days_ago)
    return Usage.objects.create(
        user=user, day=day, **{"model": "echo", "kind": "api", "requests": 1, **fields}
    )
