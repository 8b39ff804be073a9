"""This process's connections to Redis: one pool for sync code, two clients for the event loop."""

from __future__ import annotations

from functools import cache
from typing import Any

import redis
import redis.asyncio
from django.conf import settings

from inference import silence
from inference.client import SEEN

# SEEN: after how many seconds of silence a worker counts as gone.
__all__ = ["SEEN", "connect", "connect_async", "share_async"]


@cache
def connect() -> redis.Redis:
    """The sync client. Threads share its pool, and wait where all of it is in use; short timeouts
    keep a page from hanging."""
    pool = redis.BlockingConnectionPool.from_url(
        settings.REDIS_URL,
        **silence.options(settings.REDIS_URL),
        max_connections=settings.CHATSITE_REDIS_CONNECTIONS,
        timeout=5,
    )
    return redis.Redis(connection_pool=pool)


def connect_async(**options: Any) -> redis.asyncio.Redis:
    """A client for the running event loop; its owner closes it."""
    patience = silence.options(settings.REDIS_URL)
    return redis.asyncio.Redis.from_url(settings.REDIS_URL, **{**patience, **options})


def share_async(connections: int) -> redis.asyncio.Redis:
    """The same with so many connections at most. Where all are in use, who asks waits: redis-py's
    usual pool would fail the next of a hundred calls that come at once."""
    patience = silence.options(settings.REDIS_URL)
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        settings.REDIS_URL, **patience, max_connections=connections, timeout=5
    )
    return redis.asyncio.Redis.from_pool(pool)
