"""The one writer of requests that are answered once, however often they come: which generations
answer them, and who still reads those. It starts none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from chatsite.gateway import actions as gateway
from chatsite.gateway.models import Generation
from chatsite.metering.models import Repeat

# How long a name stands for one request.
LASTS = timedelta(hours=24)
UNANSWERED = {Generation.Status.STOPPED, Generation.Status.FAILED}


class ReusedError(Exception):
    """The name stands for another request."""

    kind = "idempotency_key_reused"


def hold(user: int, key: int | None, name: str, digest: str) -> Repeat:
    """The record of this name, held to the end of the caller's transaction: of two at the same
    moment the second waits here, and then finds what the first has started."""
    held = Repeat.objects.select_for_update(of=("self",)).filter(key_id=key, name=name)
    mine = held.filter(user_id=user)
    row = mine.first()
    if row is None:
        try:
            with transaction.atomic():
                return Repeat.objects.create(user_id=user, key_id=key, name=name, digest=digest)
        except IntegrityError:
            row = mine.get()
    if row.created < timezone.now() - LASTS:
        row.digest, row.generations, row.created = digest, [], timezone.now()
    if row.digest != digest:
        raise ReusedError
    return row


def answering(row: Repeat) -> list[Generation]:
    """The generations that answer it, in order; none where they have to be started. What was
    stopped or failed is no answer."""
    found = {row.pk.hex: row for row in Generation.objects.filter(pk__in=row.generations)}
    rows = [found[id] for id in row.generations if id in found]
    whole = len(rows) == len(row.generations)
    return rows if whole and all(map(stands, rows)) else []


def stands(generation: Generation) -> bool:
    if generation.is_live:
        return not generation.stop_asked
    if generation.status in UNANSWERED:
        return False
    # Vectors are in the log alone.
    until = generation.log_until
    return bool(generation.position) or until is None or until > timezone.now()


def read(row: Repeat, generations: Sequence[Generation]) -> None:
    """One more reads its answer: these generations."""
    ids = [generation.pk.hex for generation in generations]
    row.readers = row.readers + 1 if ids == row.generations else 1
    row.generations = ids
    row.save()


@transaction.atomic
def leave(pk: int, generations: Sequence[Generation]) -> None:
    """A reader has left before the end: the last one takes the generations along."""
    ids = [generation.pk.hex for generation in generations]
    row = Repeat.objects.select_for_update().filter(pk=pk).first()
    if row is not None and row.generations == ids:
        row.readers = max(0, row.readers - 1)
        row.save(update_fields=["readers"])
        if row.readers:
            return
    # In the steward's order: two that take several rows never wait for each other.
    for generation in sorted(generations, key=lambda each: each.pk):
        gateway.cancel(generation)


def purge() -> None:
    """Forget the names that stand for nothing any more."""
    Repeat.objects.filter(created__lt=timezone.now() - LASTS).delete()
