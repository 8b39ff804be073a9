"""Whether throughput grows with the workers, and what saturates first: real web process, steward,
Redis and 1, 2, 4 and 8 worker processes whose engines take no processor, all of it and the clients
on two cores. docs/scaling.md draws conclusions from it."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from tests.benchmarks import broker_load
from tests.benchmarks.bench_relay import few_cores
from tests.benchmarks.measuring import Figure, Plan
from tests.benchmarks.processes import Spent, Watch
from tests.benchmarks.sse_client import Relay, listen
from tests.live import Site
from tests.running.talking import broker
from tests.workers import Worker

WORKERS = (1, 2, 4, 8)
# Of each worker: answers at once, and tokens per second of each, about as a GPU's.
SLOTS, RATE = 32, 30
# Seconds of an answer: long enough for the window in which all of them write.
LONG = 20
# Of the tokens that the engines say, as long as nothing is saturated; and by the tokens of half as
# many workers where something is.
SHARE_GOAL, GROWTH_GOAL = 0.95, 1.0
# Answers of one token, of which the claims are counted.
SHORT = 600
# Answers that are being written everywhere, while a worker claims one.
BUSY = (100, 1000, 4000)
TAKEN_GOAL, CLAIM_GOAL = 20_000.0, 10.0
ENGINES = "synthetic=tests.benchmarks.synthetic_engine:SyntheticEngine"
MODEL = """
import json, os
from chatsite.catalogue.models import Model
Model.objects.create(
    name="synthetic", engine="synthetic", source={}, settings=json.loads(os.environ["SETTINGS"]))
"""


@dataclass(frozen=True, slots=True)
class Round:
    """What so many workers gave: the streams, what was spent while all were written, and claims per
    second of short answers."""

    workers: int
    relay: Relay
    spent: Spent
    claims: float

    @property
    def share(self) -> float:
        """Of what the engines said."""
        return self.relay.rate / (self.workers * SLOTS * RATE)

    @property
    def told(self) -> str:
        rate, seconds = self.relay.rate, self.spent.seconds
        per = {name: 1000 * used / seconds / rate for name, used in self.spent.cpu.items()}
        cores = " ".join(f"{name} {value:.3f}" for name, value in per.items())
        return (
            f"{rate:.0f} tokens/s, p95 {self.relay.late(0.95):.0f} ms, {self.claims:.0f} claims/s, "
            f"Redis {self.spent.commands / seconds:.0f} ops/s; "
            f"{sum(self.spent.cpu.values()) / seconds:.2f} cores; "
            f"core-seconds per 1,000 tokens: {cores}"
        )


def measure(plan: Plan) -> Iterator[Figure]:
    counts = WORKERS[:2] if plan.quick else WORKERS
    with few_cores(), scaled_site() as (site, crew):
        rounds = [one(plan, site, crew, count) for count in counts]
    for each, before in zip(rounds, [None, *rounds], strict=False):
        if before is None or each.share >= SHARE_GOAL:
            name = f"tokens by {each.workers} × {SLOTS * RATE} per second"
            yield Figure(name, (each.share,), SHARE_GOAL, note=each.told)
        else:
            name = f"tokens of {each.workers} workers by those of {before.workers}"
            growth = each.relay.rate / before.relay.rate
            yield Figure(name, (growth,), GROWTH_GOAL, note=each.told)
    yield from one_redis(plan)


def one_redis(plan: Plan) -> Iterator[Figure]:
    """What no further worker and no further web process helps against."""
    with few_cores(), broker_load.alone() as (client, server):
        claims = broker_load.claimed(client, SLOTS)
        rates = [
            broker_load.tokens_per_core(client, server, claims, 1 if plan.quick else 3)
            for _ in range(plan.rounds)
        ]
        yield Figure("tokens/s that a core of Redis takes", tuple(rates), TAKEN_GOAL)
        for busy in BUSY:
            broker_load.crowd(client, busy)
            found = broker_load.claim_ms(client)
            name = f"ms of a claim beside {busy} answers"
            yield Figure(name, (found,), CLAIM_GOAL, at_most=True)


def one(plan: Plan, site: Site, crew: Crew, count: int) -> Round:
    crew.grow(count)
    # The line is long until every worker has loaded the model.
    crew.fill(site, count * SLOTS)
    streams, tokens = count * SLOTS, (5 if plan.quick else LONG) * RATE
    with Watch(site, [worker.pid for worker in crew.workers]) as watch:
        relay = listen("127.0.0.1", site.port, body(tokens), streams)
    claims = claims_per_second(site, SHORT // 4 if plan.quick else SHORT)
    return Round(count, relay, watch.between(*relay.window), claims)


def claims_per_second(site: Site, count: int) -> float:
    """Answers of one token each, as many at once as one person may have waiting."""
    began = time.monotonic()
    listen("127.0.0.1", site.port, body(1), count)
    return count / (time.monotonic() - began)


def body(tokens: int) -> bytes:
    said = [{"role": "user", "content": "What time is it?"}]
    whole = {"model": "synthetic", "max_tokens": tokens, "stream": True, "messages": said}
    return json.dumps(whole).encode()


class Crew:
    """The workers, each with a data directory of its own; they stay."""

    def __init__(self, url: str, home: Path) -> None:
        self._url, self._home = url, home
        self.workers: list[Worker] = []

    def grow(self, count: int) -> None:
        with redis.Redis.from_url(self._url) as client:
            while len(self.workers) < count:
                data = self._home / f"worker-{len(self.workers)}"
                self.workers.append(Worker(self._url, data, CHATSITE_ENGINES=ENGINES).start())
            for worker in self.workers:
                worker.wait(client)

    def fill(self, site: Site, streams: int) -> None:
        """A further worker helps where the line takes longer than a load, on a busy machine too."""
        until = time.monotonic() + 120
        while not all(worker.engines() for worker in self.workers):
            assert time.monotonic() < until, "Not every worker loads the model."
            listen("127.0.0.1", site.port, body(6 * RATE), 3 * streams)

    def remove(self) -> None:
        for worker in self.workers:
            worker.remove()


@contextlib.contextmanager
def scaled_site() -> Iterator[tuple[Site, Crew]]:
    """The worker of `up` itself does not know the engine, and has nothing to do."""
    site = Site(CHATSITE_ECHO_MODEL="", CHATSITE_PENDING_PER_USER="2000")
    crew = None
    try:
        site.start()
        site.person("alice")
        settings: dict[str, Any] = {"slots": SLOTS, "rate": RATE}
        site.shell(MODEL, SETTINGS=json.dumps(settings))
        with broker(site) as client:
            url = f"unix://{client.connection_pool.connection_kwargs['path']}"
        crew = Crew(url, Path(tempfile.mkdtemp(dir=site.data)))
        yield site, crew
    finally:
        if crew is not None:
            crew.remove()
        site.remove()
