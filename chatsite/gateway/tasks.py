"""Questions about a model's tokens: its engine answers them at once. Nothing of them is kept, so
there is no row."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from typing import Any

import redis
from django.contrib.auth.models import AbstractBaseUser

from chatsite.gateway.bell import ring
from chatsite.gateway.broker import connect
from chatsite.gateway.follow import Follower, hub
from chatsite.gateway.nouns import End, Entry, ModelSpec, Request, Task
from inference import stream

log = logging.getLogger(__name__)
# Seconds that a question may wait: its model may have to be loaded first.
PATIENCE = 300
# Seconds after which one that nobody took away goes by itself.
KEPT = 600
# Of one model that may wait at once.
MOST = 256


class CrowdError(Exception):
    """Too many questions about this model's tokens wait."""


def put(owner: AbstractBaseUser, spec: ModelSpec, task: Task, **fields: Any) -> Request:
    """Ask; `hear` tells the answer. Raises redis.RedisError, or CrowdError where too many wait."""
    request = Request(id=uuid.uuid4().hex, user=str(owner.pk), model=spec, task=task, **fields)
    broker = connect()
    # Nobody waits for their rows: this alone bounds them.
    if int(broker.zcard(f"waiting:{request.queue}") or 0) >= MOST:
        raise CrowdError
    stream.create(broker, request)
    stream.expire(broker, request.id, KEPT)
    ring(request.queue)
    return request


async def hear(request: Request) -> End:
    """The answer, waiting for it; TimeoutError where none comes. Who stops waiting takes the
    question back."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Future[End] = loop.create_future()

    async def deliver(_: Follower, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.end and not heard.done():
                heard.set_result(entry.end)

    follower = Follower(request.id, request.queue, deliver, _ignore)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await hub.follow(follower):  # noqa: ASYNC110 - nothing tells of a log that comes
                await asyncio.sleep(0.5)
            return await heard
    finally:
        hub.unfollow(follower)
        loop.run_in_executor(None, _remove, request.id)


async def _ignore(_: Follower, place: tuple[int, int | None]) -> None:
    """Nobody is told how many wait before it."""


def _remove(id: str) -> None:
    try:
        stream.remove(connect(), id)
    except redis.RedisError:
        log.warning("The question %s stays until it lapses.", id)
