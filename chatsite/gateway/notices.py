"""Hints to open pages that something changed. A lost one costs a refresh, never an answer."""

from __future__ import annotations

import json
import logging
from typing import Any

import redis

from chatsite.gateway.broker import connect

STREAM = "notices"
# More than all web processes together read in a minute; older hints are worth nothing.
KEPT = 1000

log = logging.getLogger(__name__)


def publish(user_id: int | None, topic: str, **fields: Any) -> None:
    """Tell every open page of a user (None: of everybody). Never raises: it is only a hint."""
    _send({"user": user_id, "topic": topic, **fields})


def revoke(user_id: int, session_key: str | None = None) -> None:
    """Close a user's open sockets: those of one session, or all. The sockets also check by
    themselves."""
    _send({"user": user_id, "topic": "revoked", "session": session_key})


def _send(notice: dict[str, Any]) -> None:
    try:
        connect().xadd(STREAM, {"n": json.dumps(notice)}, maxlen=KEPT, approximate=True)
    except (redis.RedisError, ValueError):
        log.warning("A notice was lost: Redis does not answer.")
