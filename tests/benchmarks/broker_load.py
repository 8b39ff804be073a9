"""What one Redis does at most, asked as workers ask it and by nobody else: entries that it takes,
and what a claim costs while many answers are written."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

import psutil
import redis

from inference import lease, stream
from inference.contract import Message, ModelSpec, Request, Tokens
from tests import brokers
from tests.live import free_port

MODEL = ModelSpec("m", "none", {})
LEASE_MS = 600_000
# Tokens of an entry: what an engine says within the time for which it holds them back.
EACH = 2


@contextlib.contextmanager
def alone() -> Iterator[tuple[redis.Redis, psutil.Process]]:
    """One that keeps a file as the product's does."""
    port = free_port()
    with brokers.server(port) as process, redis.Redis.from_url(brokers.address(port)) as client:
        yield client, psutil.Process(process.pid)


def claimed(client: redis.Redis, count: int) -> list[lease.Claim]:
    """So many answers that are being written."""
    for number in range(count):
        stream.create(client, asked(f"g{number}"))
    found = [lease.claim(client, MODEL.name, LEASE_MS, slots=1 << 20) for _ in range(count)]
    return [claim for claim in found if claim]


def crowd(client: redis.Redis, count: int, users: int = 50) -> None:
    """So many in all, as a claim sees them: half of them of another model."""
    pipe = client.pipeline(transaction=False)
    pipe.delete("leases")
    for number in range(count):
        model = MODEL.name if number % 2 else "other"
        pipe.hset(f"run:x{number}", mapping={"user": f"u{number % users}", "model": model})
        pipe.zadd("leases", {f"x{number}": (time.time() + 600) * 1000})
    pipe.execute()


def asked(id: str) -> Request:
    return Request(id, "u0", MODEL, (Message("user", "?"),))


def claim_ms(client: redis.Redis) -> float:
    """Milliseconds of a claim beside all that is claimed already; the median of 20."""
    times = []
    for number in range(20):
        stream.create(client, asked(f"c{client.zcard('leases')}-{number}"))
        began = time.perf_counter()
        assert lease.claim(client, MODEL.name, LEASE_MS, slots=1 << 20)
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2] * 1000


def tokens_per_core(
    client: redis.Redis, server: psutil.Process, claims: Sequence[lease.Claim], seconds: float
) -> float:
    """Tokens that it takes per second of its one core, in entries of a step of all claims."""
    position, told = 0, 0
    before, until = spent(server), time.monotonic() + seconds
    while time.monotonic() < until:
        position += EACH
        step = [
            (claim.fence, Tokens(claim.id, position, (7,) * EACH, "some words "))
            for claim in claims
        ]
        assert set(stream.append(client, step)) == {0}
        told += EACH * len(claims)
    return told / (spent(server) - before)


def spent(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
