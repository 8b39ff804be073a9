"""The one writer of what is kept for callers: keep it, find it for its owner alone, remove it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from chatsite.accounts.models import User
from chatsite.api.errors import ApiError
from chatsite.api.models import Stored
from chatsite.api.paging import Page, unknown_place
from chatsite.gateway import actions as gateway
from chatsite.gateway.models import Generation
from chatsite.metering import repeats

# Beyond the life of an Idempotency-Key: somebody may just be reading what it stands for.
MARGIN = timedelta(hours=1)
# Rows that are removed in one go: SQLite bounds what one query names.
CHUNK = 500
HEX = frozenset("0123456789abcdef")
# What the ids of each kind begin with, and what it is called.
MARKS = {Stored.Kind.RESPONSE: "resp_", Stored.Kind.COMPLETION: "chatcmpl-"}
NAMES = {Stored.Kind.RESPONSE: "Response", Stored.Kind.COMPLETION: "Chat completion"}


def keep(
    kind: Stored.Kind,
    rows: Sequence[Generation],
    *,
    model: str,
    asked: Mapping[str, Any],
    said: Sequence[Mapping[str, Any]],
    metadata: Mapping[str, str],
    background: bool = False,
    chain: Sequence[str] = (),
) -> Stored:
    """Keep what these generations answer. One that is kept already is found as it is."""
    kept, _ = Stored.objects.get_or_create(
        generation=rows[0],
        defaults={
            "owner_id": rows[0].owner_id,
            "kind": kind,
            "model": model,
            "background": background,
            "others": [row.pk.hex for row in rows[1:]],
            "chain": list(chain),
            "asked": dict(asked),
            "said": list(said),
            "metadata": dict(metadata),
        },
    )
    return kept


def mine(owner: User, kind: Stored.Kind) -> QuerySet[Stored]:
    return Stored.objects.filter(owner=owner, kind=kind, gone=False).select_related("generation")


def find(owner: User, kind: Stored.Kind, id: str) -> Stored:
    """What this person kept under the id; another's is as unknown as one that never was (R9)."""
    pk = number(kind, id)
    found = mine(owner, kind).filter(pk=pk).first() if pk else None
    if found is None:
        raise ApiError(404, "not_found", f"{NAMES[kind]} with id '{id[:64]}' not found.")
    return found


def number(kind: Stored.Kind, id: str) -> UUID | None:
    """The generation that an id names."""
    hexed = id.removeprefix(MARKS[kind])
    whole = id.startswith(MARKS[kind]) and len(hexed) == 32 and HEX.issuperset(hexed)
    return UUID(hexed) if whole else None


def current(row: Generation) -> Generation:
    """A row as its log has it by now: the steward needs a moment to save what has ended."""
    if not row.is_live:
        return row
    growth = gateway.catch_up(row.pk)
    if growth is None:
        # Closed meanwhile, or removed.
        return Generation.objects.filter(pk=row.pk).first() or row
    if growth.end is not None:
        finish = growth.end.finish
        growth.row.status = gateway.STATUSES[finish.reason]
        growth.row.finish_reason, growth.row.error = finish.reason, finish.error
        growth.row.stats = growth.end.stats
    return growth.row


def answers(stored: Stored) -> list[Generation]:
    """The generations of all choices, in their order; none where one of them has not ended well."""
    others = Generation.objects.in_bulk([UUID(id) for id in stored.others])
    rows = [stored.generation, *(others[UUID(id)] for id in stored.others if UUID(id) in others)]
    rows = [current(row) for row in rows]
    ended = (Generation.Status.DONE, Generation.Status.STOPPED)
    return rows if all(row.status in ended for row in rows) else []


def completion(owner: User, id: str) -> tuple[Stored, list[Generation]]:
    """A completion with its answers: as long as it has none, there is nothing to be found."""
    found = find(owner, Stored.Kind.COMPLETION, id)
    rows = answers(found)
    if not rows:
        raise ApiError(404, "not_found", f"{NAMES[Stored.Kind.COMPLETION]} '{id}' not found.")
    return found, rows


def completions(
    owner: User, page: Page, model: str, metadata: Mapping[str, str]
) -> Iterator[tuple[Stored, list[Generation]]]:
    """The completions after the page's place, of this model and with this metadata."""
    # What failed has no answer and never gets one: looking at each of them took its time.
    rows = mine(owner, Stored.Kind.COMPLETION).exclude(generation__status=Generation.Status.FAILED)
    rows = rows.order_by("-created", "-pk") if page.descending else rows.order_by("created", "pk")
    if page.after:
        rows = rows.filter(after(rows, page))
    if model:
        # PostgreSQL takes no null characters, and no model has one in its name.
        rows = rows.filter(model=model.replace("\x00", "\ufffd"))
    # Keys are the caller's own words, in which a database would see paths.
    wanted = metadata.items()
    matching = (pk for pk, told in rows.values_list("pk", "metadata") if wanted <= told.items())
    for pk in matching:
        found = rows.filter(pk=pk).first()
        if found and (ended := answers(found)):
            yield found, ended


def after(rows: QuerySet[Stored], page: Page) -> Q:
    pk = number(Stored.Kind.COMPLETION, page.after)
    place = rows.filter(pk=pk).first() if pk else None
    if place is None:
        raise unknown_place(page.after)
    if page.descending:
        return Q(created__lt=place.created) | Q(created=place.created, pk__lt=place.pk)
    return Q(created__gt=place.created) | Q(created=place.created, pk__gt=place.pk)


def describe(stored: Stored, metadata: Mapping[str, str]) -> None:
    stored.metadata = dict(metadata)
    stored.save(update_fields=["metadata"])


@transaction.atomic
def remove(stored: Stored) -> None:
    """Remove it for good. What is still written is stopped first, so that it is counted."""
    live = Generation.objects.filter(pk__in=ids(stored), status=Generation.Status.LIVE)
    # In the steward's order: two that take several rows never wait for each other.
    for row in live.order_by("pk"):
        gateway.cancel(row)
    stored.gone = True
    stored.save(update_fields=["gone"])
    purge()


def purge() -> None:
    """Remove what was deleted while it was written and has ended since, and what nobody asked to be
    kept and nobody can ask for again."""
    _forget_unkept()
    for stored in Stored.objects.filter(gone=True).order_by("pk"):
        rows = Generation.objects.filter(pk__in=ids(stored))
        if not rows.filter(status=Generation.Status.LIVE).exists():
            # The row itself goes with its generation.
            gateway.remove([row.pk for row in rows])


def _forget_unkept() -> None:
    """What programs were answered, when no Idempotency-Key can stand for it any more. What it cost
    stays in the usage."""
    others = Stored.objects.exclude(others=[]).values_list("others", flat=True)
    kept = {UUID(id) for ids in others for id in ids}
    old = Generation.objects.filter(
        kind=Generation.Kind.API, ended__lt=timezone.now() - repeats.LASTS - MARGIN, stored=None
    )
    found = [pk for pk in old.values_list("pk", flat=True) if pk not in kept]
    for begin in range(0, len(found), CHUNK):
        gateway.remove(found[begin : begin + CHUNK])


def ids(stored: Stored) -> list[UUID]:
    return [stored.pk, *(UUID(id) for id in stored.others)]
