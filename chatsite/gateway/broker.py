"""This process's connections to Redis: one pool for sync code, one client for the event loop."""

from __future__ import annotations

from functools import cache
from typing import Any

import redis
import redis.asyncio
from django.conf import settings

from inference import silence
from inference.client import SEEN

# SEEN: after how many seconds of silence a worker counts as gone.
__all__ = ["SEEN", "connect", "connect_async"]


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
