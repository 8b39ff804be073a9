"""How much one web process relays: a hundred streams at once of an engine that computes nothing, 60
tokens per second each, on two cores that clients, worker, broker and steward share with it; beside
it a bare server that sends the same frames to the same clients."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import redis

from chatsite.supervisor import sockets
from inference import stream
from tests.benchmarks.measuring import Figure, Plan
from tests.benchmarks.sse_client import Relay, listen
from tests.live import Site, free_port

STREAMS, RATE, CORES = 100, 60, 2
# Seconds of a stream.
LONG = 10
# Tokens that the bare server sends together: what comes between two reads of ours.
MERGED = 2
FRAMES_GOAL, LATE_GOAL, RATE_GOAL = 10.0, 80.0, 0.97
# Ours and the bare server's, in turns.
Rounds = list[tuple[Relay, ...]]
ENGINES = "clock=tests.benchmarks.clock_engine:ClockEngine"
MODEL = """
import json, os
from chatsite.catalogue.models import Model
Model.objects.create(
    name="clock", engine="clock", source={}, settings=json.loads(os.environ["SETTINGS"]))
"""


def measure(plan: Plan) -> Iterator[Figure]:
    streams, tokens = plan.size(STREAMS), plan.size(LONG * RATE)
    body = {"model": "clock", "max_tokens": tokens, "stream": True}
    body |= {"messages": [{"role": "user", "content": "What time is it?"}]}
    data = json.dumps(body).encode()
    with few_cores(), clock_site(streams) as site, bare_server(tokens) as port:
        rounds: Rounds = []
        for _ in range(plan.rounds):
            ours = listen("127.0.0.1", site.port, data, streams)
            look_up(site, ours)
            rounds.append((ours, listen("127.0.0.1", port, data, streams)))
            time.sleep(1)
    yield figure(f"frames per second, fewest of {streams}", rounds, fewest, FRAMES_GOAL)
    yield figure("log to client, p95, ms", rounds, p95, LATE_GOAL, at_most=True)
    whole = streams * RATE
    yield figure(f"tokens by {whole} per second", rounds, partial(share, whole), RATE_GOAL)


def figure(
    name: str,
    rounds: Rounds,
    value: Callable[[Relay], float],
    goal: float,
    *,
    at_most: bool = False,
) -> Figure:
    ours, bare = ([value(each) for each in side] for side in zip(*rounds, strict=True))
    note = f"bare server {statistics.median(bare):.3g}"
    return Figure(name, tuple(ours), goal, at_most, note=note)


def look_up(site: Site, relay: Relay) -> None:
    """Where the entries of the logs ended. An entry is written just after its last word was said,
    so that what is measured is a little more than from the log to the client."""
    with redis.Redis.from_url(f"unix://{sockets.broker(site.data)}") as broker:
        for each in relay.heard:
            log: Any = broker.xrange(stream.LOG + each.id.removeprefix("chatcmpl-"))
            texts = [entry.text.split() for entry in (stream.parse(*raw) for raw in log)]
            each.ends = frozenset(words[-1] for words in texts if words)
            assert each.ends


def fewest(relay: Relay) -> float:
    return relay.fewest


def p95(relay: Relay) -> float:
    return relay.late(0.95)


def share(whole: float, relay: Relay) -> float:
    return relay.rate / whole


@contextlib.contextmanager
def few_cores() -> Iterator[None]:
    """This process and all that it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:CORES]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def clock_site(streams: int) -> Iterator[Site]:
    site = Site(CHATSITE_ECHO_MODEL="", CHATSITE_ENGINES=ENGINES)
    settings = {"slots": streams, "delay_ms": 1000 / RATE}
    try:
        site.start()
        site.person("alice")
        site.shell(MODEL, SETTINGS=json.dumps(settings))
        # Its engine is started, and everything that a first request brings about is done.
        body = {"model": "clock", "max_tokens": 20, "stream": True}
        body |= {"messages": [{"role": "user", "content": "?"}]}
        listen("127.0.0.1", site.port, json.dumps(body).encode(), 4)
        yield site
    finally:
        site.remove()


@contextlib.contextmanager
def bare_server(tokens: int) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "tests.benchmarks.bare_sse"]
    with subprocess.Popen([*command, *map(str, (port, tokens, RATE, MERGED))]) as server:
        time.sleep(2)
        try:
            yield port
        finally:
            server.terminate()
