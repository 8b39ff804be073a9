"""Models elsewhere with a Host and the engine in its child process: what dies is not paid for
twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from inference import client, stream
from inference.budget import Budget
from inference.plans import draw
from inference.runner import Host
from inference.settings import Settings
from tests.inference.far import KEY, SECRET, request, spec_of
from tests.inference.logs import ends, entries, status, tokens
from tests.upstream import Upstream


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSITE_SECRET_KEY", SECRET)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(key=KEY) as server:
        yield server


@pytest.fixture
def host(broker: redis.Redis, valkey: str, tmp_path: Path) -> Iterator[Any]:
    made: list[Host] = []

    def new(model: str, budget: Budget | None = None) -> Host:
        settings = Settings(valkey, tmp_path, lease_ms=1000)
        host = Host(model, settings, broker, "here-1/a", budget or Budget(lambda: 1 << 40))
        made.append(host)
        host.start()
        return host

    yield new
    for host in made:
        host.close()


def until(condition: Any, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("tokens_first", [True, False])
def test_a_killed_child_is_not_paid_for_twice(
    host: Any, upstream: Upstream, broker: redis.Redis, tokens_first: bool
) -> None:
    spec = spec_of(upstream, "stalls" if tokens_first else "waits")
    stream.create(broker, request(spec))
    running = host(spec.name)
    until(lambda: upstream.asked and (len(tokens(broker, "a")) == 2 or not tokens_first))
    os.kill(running.motor.child.pid, signal.SIGKILL)
    until(lambda: ends(broker, "a"))
    (end,) = ends(broker, "a")
    assert end.finish.error == {"kind": "remote_interrupted"}
    said = "".join(entry.text for entry in entries(broker, "a"))
    assert said == ("one two " if tokens_first else "")
    assert len(upstream.asked) == 1


def test_a_worker_that_ends_gives_back_what_nobody_asks_again(
    host: Any, upstream: Upstream, broker: redis.Redis
) -> None:
    spec = spec_of(upstream, "stalls")
    stream.create(broker, request(spec))
    first = host(spec.name)
    until(lambda: len(tokens(broker, "a")) == 2)
    first.close()
    assert status(broker, "a") == "waiting"
    host(spec.name)
    until(lambda: ends(broker, "a"))
    assert ends(broker, "a")[0].finish.error == {"kind": "remote_interrupted"}
    assert len(upstream.asked) == 1


def test_it_works(host: Any, upstream: Upstream, broker: redis.Redis) -> None:
    spec = spec_of(upstream, "words")
    stream.create(broker, request(spec))
    # A model elsewhere needs none of this machine's memory.
    host(spec.name, Budget(lambda: 0, 1))
    until(lambda: ends(broker, "a"))
    (end,) = ends(broker, "a")
    assert (end.finish.reason, end.stats["completion_tokens"]) == ("stop", 16)
    assert tokens(broker, "a") == [-1] * 8
    far = spec_of(upstream, "stalls")
    stream.create(broker, replace(request(far), id="b"))
    running = host(far.name)
    until(lambda: len(tokens(broker, "b")) == 2)
    assert client.cancel(broker, "b") == far.name
    running.ring()
    until(lambda: ends(broker, "b"))
    assert ends(broker, "b")[0].finish.reason == "cancelled"
    assert upstream.left.wait(5)


def test_it_has_no_part_in_the_memory_of_the_models(upstream: Upstream, tmp_path: Path) -> None:
    plan = draw(spec_of(upstream, "words", slots=4), Settings("redis://x", tmp_path), 0)(-1)
    assert (plan.bytes, plan.away, plan.setup.slots) == (0, True, 4)
