"""Start and stop generations, and save what they became: the one writer of the table Generation."""

from __future__ import annotations

import logging
import secrets
from array import array
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import redis
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone

from chatsite.gateway.bell import ring
from chatsite.gateway.broker import connect
from chatsite.gateway.models import Generation
from inference import client, stream
from inference.contract import Message, ModelSpec, Request, Sampling

log = logging.getLogger(__name__)
# A seed is drawn from this many bits where the user set none, so that every answer can be resumed.
SEED_BITS = 32


def start(
    *,
    owner: AbstractBaseUser,
    kind: str,
    spec: ModelSpec,
    messages: Sequence[Message],
    sampling: Sampling,
    drop_oldest: bool = False,
) -> Generation:
    """The row now, the log and the ring when the caller's transaction is committed.

    Where Redis does not answer, the row waits and the steward enters it as soon as it does.
    """
    generation = Generation(owner_id=owner.pk, kind=kind, model=spec.name)
    request = Request(
        id=generation.id.hex,
        user=str(owner.pk),
        model=spec,
        messages=tuple(messages),
        sampling=replace(sampling, seed=sampling.seed or secrets.randbits(SEED_BITS)),
        drop_oldest=drop_oldest,
    )
    generation.request = request.to_dict()
    generation.save()
    transaction.on_commit(lambda: _enter(request))
    return generation


def _enter(request: Request) -> None:
    try:
        stream.create(connect(), request)
    except redis.RedisError:
        log.warning("Generation %s waits for Redis.", request.id)
        return
    ring(request.model.name)


def cancel(generation: Generation) -> None:
    """Stop it within one step. Where Redis does not answer, the steward stops it when it does."""
    Generation.objects.filter(pk=generation.pk, status=Generation.Status.LIVE).update(
        stop_asked=True
    )
    transaction.on_commit(lambda: stop(generation.id.hex))


def stop(id: str) -> None:
    """Tell the log, and the worker that writes it."""
    try:
        model = client.cancel(connect(), id)
    except redis.RedisError:
        log.warning("The stop of %s waits for Redis.", id)
        return
    if model:
        ring(model)


def restore(generation: Generation) -> bool:
    """Put a log back from its row where Redis lost it or has less; True where it had to."""
    request = Request.from_dict(generation.request)
    created = int(generation.created.timestamp() * 1000)
    tokens = unpack(bytes(generation.tokens))
    return stream.restore(
        connect(),
        request,
        fence=generation.fence,
        position=generation.position,
        tokens=tokens,
        text=generation.text,
        reasoning=generation.reasoning,
        created=created,
    )


def save(generation: Generation) -> bool:
    """Save a live one's growth. Only forward: False where the row has as much or is closed."""
    return bool(
        Generation.objects.filter(
            pk=generation.pk,
            status=Generation.Status.LIVE,
            position__lt=generation.position,
        ).update(
            text=generation.text,
            reasoning=generation.reasoning,
            tokens=generation.tokens,
            position=generation.position,
            fence=generation.fence,
        )
    )


STATUSES = {
    "stop": Generation.Status.DONE,
    "length": Generation.Status.DONE,
    "cancelled": Generation.Status.STOPPED,
    "error": Generation.Status.FAILED,
}


def close(generation: Generation, end: stream.End) -> bool:
    """Close it, once: False where another steward was first. The caller's object becomes the
    row."""
    now = timezone.now()
    generation.status = STATUSES[end.finish.reason]
    generation.finish_reason = end.finish.reason
    generation.error = end.finish.error
    generation.stats = end.stats
    generation.ended = now
    generation.log_until = now + timedelta(seconds=stream.KEPT_S)
    # The messages stand in the conversation: a copy with every answer would grow with its square.
    generation.request = {**generation.request, "messages": []}
    fields: dict[str, Any] = {
        name: getattr(generation, name)
        for name in (
            *("text", "reasoning", "tokens", "position", "fence", "status", "request"),
            *("finish_reason", "error", "stats", "ended", "log_until"),
        )
    }
    return bool(
        Generation.objects.filter(pk=generation.pk, status=Generation.Status.LIVE).update(**fields)
    )


def remove(generations: Sequence[UUID]) -> None:
    """Remove rows for good; the messages that they wrote are gone already."""
    Generation.objects.filter(pk__in=generations).delete()


def pack(tokens: Sequence[int]) -> bytes:
    """Token ids as little-endian int32."""
    return array("i", tokens).tobytes()


def unpack(data: bytes) -> list[int]:
    return array("i", data).tolist()
