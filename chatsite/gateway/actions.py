"""Start and stop generations, and save what they became: the one writer of the table Generation."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import redis
from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from chatsite.gateway import journal
from chatsite.gateway.bell import ring
from chatsite.gateway.broker import connect
from chatsite.gateway.growth import Growth
from chatsite.gateway.models import Generation
from chatsite.gateway.packing import unpack
from inference import client, stream
from inference.contract import (
    CallDelta,
    Input,
    Logprob,
    Message,
    ModelSpec,
    Request,
    Sampling,
    Shape,
)

log = logging.getLogger(__name__)
# A seed is drawn from this many bits where the user set none, so that every answer can be resumed.
SEED_BITS = 32


def start(
    *,
    owner: AbstractBaseUser,
    kind: str,
    spec: ModelSpec,
    messages: Sequence[Message] = (),
    sampling: Sampling,
    drop_oldest: bool = False,
    prompt: str | None = None,
    inputs: Sequence[Input] = (),
    dimensions: int = 0,
    shape: Shape | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
    tool_choice: str = "auto",
    parallel_tool_calls: bool = True,
    template_kwargs: Mapping[str, Any] | None = None,
    key: int | None = None,
    part: int = 0,
    choice: int = 0,
    late: bool = False,
) -> Generation:
    """The row now, the log and the ring when the caller's transaction is committed.

    `late`: it waits behind everybody else's. `key`, `part` and `choice` say what it counts as.
    Where Redis does not answer, the row waits and the steward enters it as soon as it does.
    """
    generation = Generation(
        owner_id=owner.pk, kind=kind, model=spec.name, key_id=key, part=part, choice=choice
    )
    generation.logprobs = None if sampling.logprobs is None else []
    request = Request(
        id=generation.id.hex,
        user=str(owner.pk),
        model=spec,
        messages=tuple(messages),
        sampling=replace(sampling, seed=sampling.seed or _draw_seed(spec)),
        drop_oldest=drop_oldest,
        prompt=prompt,
        inputs=tuple(inputs),
        dimensions=dimensions,
        shape=shape or Shape(),
        tools=tuple(dict(tool) for tool in tools),
        tool_choice=tool_choice,
        parallel_tool_calls=parallel_tool_calls,
        template_kwargs=dict(template_kwargs or {}),
        late=late,
    )
    generation.request = request.to_dict()
    generation.save()
    transaction.on_commit(lambda: _enter(request))
    return generation


def _draw_seed(spec: ModelSpec) -> int:
    """An answer from elsewhere is never resumed, and not every provider takes a seed."""
    return 0 if spec.engine == "remote" else secrets.randbits(SEED_BITS)


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


def waits(generation: Generation) -> bool:
    """Whether it stands in its model's queue; False where Redis does not answer."""
    try:
        return client.places(connect(), [(generation.model, generation.id.hex)])[0] is not None
    except redis.RedisError:
        return False


def restore(generation: Generation) -> bool:
    """Put a log back from its row where Redis lost it or has less; True where it had to."""
    request = Request.from_dict(generation.request)
    created = int(generation.created.timestamp() * 1000)
    tokens = unpack(bytes(generation.tokens))
    calls = [CallDelta(index, **call) for index, call in enumerate(generation.calls)]
    return stream.restore(
        connect(),
        request,
        fence=generation.fence,
        position=generation.position,
        tokens=tokens,
        text=generation.text,
        reasoning=generation.reasoning,
        created=created,
        calls=tuple(calls),
        logprobs=tuple(Logprob.from_list(each) for each in generation.logprobs or ()),
        runs=generation.runs,
    )


def catch_up(pk: UUID) -> Growth | None:
    """A live row with all that its log has by now, not yet saved; None where it is live no more."""
    row = Generation.objects.filter(pk=pk, status=Generation.Status.LIVE).first()
    if row is None:
        return None
    growth = Growth(row)
    try:
        growth.take(journal.read([(pk.hex, growth.cursor)])[0])
    except redis.RedisError:
        log.warning("The log of %s cannot be read just now.", pk.hex)
    return growth


def let_go(id: str) -> None:
    """An ended log is read for a while yet, then goes. Never raises: one that stays costs memory
    alone."""
    try:
        journal.let_go(id)
    except redis.RedisError:
        log.warning("The log of %s stays until somebody removes it.", id)


# What grows while an answer is written.
GROWING = ("text", "reasoning", "tokens", "calls", "runs", "logprobs", "position", "fence")


def save(generation: Generation) -> bool:
    """Save a live one's growth. Only forward: False where the row has as much or is closed."""
    behind = Q(position__lt=generation.position) | Q(
        position=generation.position, fence__lt=generation.fence
    )
    live = Generation.objects.filter(pk=generation.pk, status=Generation.Status.LIVE)
    return bool(live.filter(behind).update(**{n: getattr(generation, n) for n in GROWING}))


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
    # What was said stands in the conversation: a copy with every answer would grow with its square.
    generation.request = {**generation.request, "messages": [], "inputs": [], "prompt": None}
    fields: dict[str, Any] = {
        name: getattr(generation, name)
        for name in (
            *(*GROWING, "status", "request"),
            *("finish_reason", "error", "stats", "ended", "log_until"),
        )
    }
    return bool(
        Generation.objects.filter(pk=generation.pk, status=Generation.Status.LIVE).update(**fields)
    )


def remove(generations: Sequence[UUID]) -> None:
    """Remove rows for good; the messages that they wrote are gone already."""
    Generation.objects.filter(pk__in=generations).delete()
