"""A delivery in the lines of Ollama's `pull`. It follows one that was begun; who stops reading does
not stop it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from django.utils import translation

from chatsite.api.answers import Json
from chatsite.api.errors import ApiError
from chatsite.api.waiting import in_thread
from chatsite.catalogue import deliveries, troubles
from chatsite.catalogue.models import Delivery
from chatsite.gateway.library import LibraryError
from chatsite.ollama.streams import line

# Seconds between two looks.
PAUSE = 0.5
# Looks after which a line comes although nothing is new: proxies give up on silence.
QUIET = 20
BEGUN, DONE = {"status": "pulling manifest"}, {"status": "success"}
# What a worker does after the bytes, in the words that clients know.
PHASES = {"verifying": "verifying sha256 digest", "testing": "writing manifest"}
STATUSES = {
    "bad_address": 404,
    "missing": 404,
    "no_variant": 404,
    "gated": 403,
    "no_access": 403,
    "refused_host": 403,
    "rate_limited": 429,
    "no_worker": 503,
    "broker": 503,
    "hub_down": 502,
}


async def lines(pk: UUID) -> AsyncIterator[bytes]:
    """All of them, until it has ended or was paused."""
    yield line(BEGUN)
    before, silent = BEGUN, 0
    while True:
        row = await in_thread(deliveries.catch_up, pk)
        if not row.is_live or row.state == Delivery.State.PAUSED:
            yield line(end(row))
            return
        now, silent = told(row), silent + 1
        if now != before or silent >= QUIET:
            yield line(now)
            before, silent = now, 0
        await asyncio.sleep(PAUSE)


async def whole(pk: UUID) -> Delivery:
    """The row when it has ended or was paused."""
    while True:
        row = await in_thread(deliveries.catch_up, pk)
        if not row.is_live or row.state == Delivery.State.PAUSED:
            return row
        await asyncio.sleep(PAUSE)


def told(row: Delivery) -> Json:
    """Where it stands. Clients draw a bar for each digest."""
    if row.phase in PHASES:
        return {"status": PHASES[row.phase]}
    if not row.total:
        return BEGUN
    digest = next((each["sha256"] for each in row.files if each.get("sha256")), row.pk.hex)
    bytes = {"total": row.total, "completed": row.done}
    return {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}", **bytes}


def end(row: Delivery) -> Json:
    return DONE if row.state == Delivery.State.DONE else {"error": failure(row)}


def failure(row: Delivery) -> str:
    if row.state == Delivery.State.PAUSED:
        return "pull model manifest: an admin has paused this download"
    if row.state == Delivery.State.CANCELLED:
        return "pull model manifest: an admin has cancelled this download"
    return f"pull model manifest: {explain(row.error or {})}"


def explain(error: Json) -> str:
    """Programs read English."""
    with translation.override("en"):
        return troubles.explain(error)


def refused(error: LibraryError) -> ApiError:
    message = f"pull model manifest: {explain({'kind': error.kind, **error.facts})}"
    return ApiError(STATUSES.get(error.kind, 500), error.kind, message)
