"""Requests, and logs as their readers see them, for the engine room's tests."""

from __future__ import annotations

from typing import Any

import redis

from inference import stream
from inference.contract import Message, ModelSpec, Request, Sampling, Tokens

MODEL = "echo"


def request(id: str, user: str = "bob", text: str = "Hello", **fields: Any) -> Request:
    spec = fields.pop("spec", None) or ModelSpec(MODEL, "echo", {}, fields.pop("settings", {}))
    sampling = fields.pop("sampling", None) or Sampling(seed=7)
    return Request(id, user, spec, (Message("user", text),), sampling, **fields)


def token(id: str, position: int, count: int = 1) -> Tokens:
    """Tokens whose ids and text are their positions."""
    ids = tuple(range(position - count + 1, position + 1))
    return Tokens(id, position, ids, "".join(f"{n} " for n in ids))


def entries(client: redis.Redis, id: str) -> list[stream.Entry]:
    raw: Any = client.xrange(stream.LOG + id)
    return [stream.parse(*entry) for entry in raw]


def tokens(client: redis.Redis, id: str) -> list[int]:
    return [t for entry in entries(client, id) for t in entry.tokens or ()]


def ends(client: redis.Redis, id: str) -> list[stream.End]:
    return [entry.end for entry in entries(client, id) if entry.end]


def status(client: redis.Redis, id: str) -> str:
    value: Any = client.hget(stream.RUN + id, "status")
    return value.decode() if value else ""
