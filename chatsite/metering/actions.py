"""The one writer of usage and limits: count what a generation used, set what may be used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from chatsite.accounts.models import ApiKey, User
from chatsite.gateway import actions as gateway
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import End
from chatsite.metering.models import Limit, Usage


def close(generation: Generation, end: End) -> bool:
    """End a generation and count what it used, both once: False where it was closed before. In the
    caller's transaction, so that neither is there without the other."""
    closed = close_row(generation, end)
    if closed:
        count([generation])
    return closed


def close_row(generation: Generation, end: End) -> bool:
    """The first half of `close`; `count` is the other. Who ends several takes all their rows, in
    the order of their ids, before anything is counted: or a person who ends one of them at that
    moment would hold its row and wait for the count, and PostgreSQL fails one of the two."""
    return gateway.close(generation, end)


def count(generations: Sequence[Generation]) -> None:
    """Add what closed ones used. The choices of a prompt have read it once, and all that came in
    one call are one request."""
    places = [(_place(generation), figures(generation)) for generation in generations]
    for where, used in sorted(places, key=lambda each: str(each[0])):
        _count(where, used)


def _place(generation: Generation) -> dict[str, Any]:
    return {
        "day": timezone.localdate(generation.created),
        "user_id": generation.owner_id,
        "key_id": generation.key_id,
        "kind": generation.kind,
        "model": generation.model,
    }


def _count(where: Mapping[str, Any], used: Mapping[str, int]) -> None:
    if not _add(where, used):
        try:
            with transaction.atomic():
                Usage.objects.create(**where, **used)
        except IntegrityError:
            # Another steward made the day's row at this moment.
            _add(where, used)


def figures(generation: Generation) -> dict[str, int]:
    stats = generation.stats
    read = generation.choice == 0
    return {
        "requests": int(read and generation.part == 0),
        "prompt_tokens": int((read and stats.get("prompt_tokens")) or 0),
        "cached_tokens": int((read and stats.get("cached_tokens")) or 0),
        "completion_tokens": int(stats.get("completion_tokens") or 0),
    }


def _add(where: Mapping[str, Any], used: Mapping[str, int]) -> bool:
    more = {name: F(name) + number for name, number in used.items()}
    return bool(Usage.objects.filter(**where).update(**more))


def set_site_limits(amounts: Mapping[str, int | None], *, waits: bool) -> None:
    """For everybody who has none of their own; and what becomes of what is asked beyond any."""
    Limit.objects.update_or_create(scope=Limit.SITE, defaults={**amounts, "waits": waits})


def set_person_limits(person: User, amounts: Mapping[str, int | None] | None) -> None:
    """None: as the site's. Amounts that are all null: without limit."""
    scope = Limit.of_user(person.pk)
    if amounts is None:
        Limit.objects.filter(scope=scope).delete()
    else:
        Limit.objects.update_or_create(scope=scope, defaults={**amounts, "user": person})


def set_key_limits(key: ApiKey, amounts: Mapping[str, int | None]) -> None:
    """On top of its owner's."""
    scope = Limit.of_key(key.pk)
    Limit.objects.update_or_create(scope=scope, defaults={**amounts, "key": key})
