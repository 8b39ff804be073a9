"""Several workers of one site: who rests, who does not fit, who helps, and what goes on
elsewhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

from inference import client, duty, release, stream
from inference.board import WorkerState
from inference.client import Reason
from inference.contract import ModelSpec
from inference.pool import Pool
from inference.release import OURS, Release
from inference.settings import Settings
from tests.inference.logs import ends, request, status, tokens

WORDS = " ".join(f"word{n}" for n in range(60))
NewPool = Callable[..., Pool]


@pytest.fixture
def pool(broker: redis.Redis, valkey: str, tmp_path: Path) -> Iterator[NewPool]:
    """Starts workers, each as on a machine of its own; they are ended with the test."""
    made: list[Pool] = []

    def new(name: str, **changes: Any) -> Pool:
        settings = Settings(valkey, tmp_path / name, lease_ms=1000, node_port=None)
        made.append(Pool(replace(settings, **changes)))
        made[-1].start()
        until(lambda: state(broker, made[-1]))
        return made[-1]

    yield new
    for each in made:
        each.close()


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def state(broker: redis.Redis, worker: Pool) -> WorkerState | None:
    found = [each for each in client.workers(broker) if each.name == worker.badge.name]
    return found[0] if found else None


def stands(broker: redis.Redis, worker: Pool) -> str:
    found = state(broker, worker)
    return found.duty if found else ""


def ask(broker: redis.Redis, id: str, text: str = WORDS, **settings: Any) -> None:
    settings = {"delay_ms": 10, "slots": 4} | settings
    spec = ModelSpec("m", settings.pop("engine", "echo"), settings.pop("source", {}), settings)
    stream.create(broker, request(id, user=id, text=text, spec=spec))


def begun(broker: redis.Redis, id: str) -> str:
    """The name of the worker that writes it, when it has begun."""
    until(lambda: len(tokens(broker, id)) > 2)
    return holder(broker, id)


def holder(broker: redis.Redis, id: str) -> str:
    told: Any = broker.hget(f"run:{id}", "worker")
    return str(told.decode().partition("/")[0])


def whole(broker: redis.Redis, id: str, count: int = 60) -> None:
    until(lambda: ends(broker, id))
    (end,) = ends(broker, id)
    assert end.finish.reason == "stop"
    assert tokens(broker, id) == list(range(count))


def test_it_works(pool: NewPool, broker: redis.Redis) -> None:
    """What rests finishes what it has begun and takes nothing new; then it works again."""
    one, two = pool("one"), pool("two")
    named = {each.badge.name: each for each in (one, two)}
    ask(broker, "a")
    resting = named[begun(broker, "a")]
    client.rest(broker, resting.badge.name, 600)
    until(lambda: stands(broker, resting) == "draining")
    ask(broker, "b")
    assert begun(broker, "b") != resting.badge.name
    whole(broker, "a")
    assert holder(broker, "a") == resting.badge.name
    until(lambda: stands(broker, resting) == "drained")
    left = named.keys() - {resting.badge.name}
    until(lambda: {each.worker for each in client.engines(broker)} == left)
    whole(broker, "b")
    (other,) = (each for each in named.values() if each is not resting)
    client.rest(broker, other.badge.name, 600)
    until(lambda: stands(broker, other) == "drained")
    client.resume(broker, resting.badge.name)
    ask(broker, "c")
    assert begun(broker, "c") == resting.badge.name
    whole(broker, "c")


def test_what_runs_is_handed_over(pool: NewPool, broker: redis.Redis) -> None:
    one, two = pool("one"), pool("two")
    ask(broker, "a", WORDS * 3)
    first = begun(broker, "a")
    client.rest(broker, first, 0)
    until(lambda: holder(broker, "a") != first)
    assert {first, holder(broker, "a")} == {one.badge.name, two.badge.name}
    until(lambda: ends(broker, "a"))
    assert tokens(broker, "a") == list(range(len(tokens(broker, "a"))))


def test_rest_outlives_a_restart(pool: NewPool, broker: redis.Redis) -> None:
    first = pool("one")
    client.rest(broker, first.badge.name)
    until(lambda: stands(broker, first) == "drained")
    first.close()
    again = pool("one")
    assert again.badge.name == first.badge.name
    assert stands(broker, again) == "drained"
    ask(broker, "a")
    again.ring("m")
    time.sleep(1.5)
    assert status(broker, "a") == "waiting"
    assert client.reasons(broker, ["m"]) == {"m": Reason("draining", again.badge.name)}
    client.resume(broker, again.badge.name)
    whole(broker, "a")


@pytest.mark.parametrize("protocol", [OURS.protocol + 1, OURS.protocol - 1])
def test_one_of_another_version_takes_nothing(
    pool: NewPool, broker: redis.Redis, caplog: pytest.LogCaptureFixture, protocol: int
) -> None:
    release.announce(broker, Release("9.9", protocol))
    worker = pool("one")
    ask(broker, "a")
    worker.ring("m")
    until(lambda: stands(broker, worker) == "refused")
    time.sleep(1)
    assert status(broker, "a") == "waiting"
    assert client.reasons(broker, ["m"]) == {"m": Reason("refused", worker.badge.name)}
    (said,) = [each.message for each in caplog.records if "takes no work" in each.message]
    assert f"version {OURS.product} (protocol {OURS.protocol})" in said
    assert f"version 9.9 (protocol {protocol})" in said
    wanted = "Install the site's version here" if protocol > OURS.protocol else "Update the site"
    assert wanted in said
    # The site comes to the worker's version: nobody has to restart anything.
    release.announce(broker)
    whole(broker, "a")


def test_a_site_that_says_nothing_is_of_the_first_protocol(broker: redis.Redis) -> None:
    assert duty.read(broker, "one").site.protocol == 1
    broker.set(release.SITE, json.dumps({"product": "3.0", "protocol": 7, "news": 1}))
    assert duty.read(broker, "one").site == Release("3.0", 7)


def test_the_one_that_has_it_loaded_is_first(pool: NewPool, broker: redis.Redis) -> None:
    """Whoever gets the ring; and a ring that went to the wrong one costs no time."""
    pools = [pool("one"), pool("two")]
    ask(broker, "a")
    whole(broker, "a")
    first = holder(broker, "a")
    (other,) = (each for each in pools if each.badge.name != first)
    until(lambda: other._has_others)
    for n in range(4):
        ask(broker, f"b{n}", "Hello there")
        asked = time.monotonic()
        other.ring("m")
        until(partial(tokens, broker, f"b{n}"))
        # Whom the ring does not reach looks by itself after 1.5 s.
        assert time.monotonic() - asked < 1.2
        assert holder(broker, f"b{n}") == first
        whole(broker, f"b{n}", 2)


def test_both_share_a_line_that_is_long(pool: NewPool, broker: redis.Redis) -> None:
    broker.hset("pace:m", mapping={"ms": 5000, "load_ms": 1000})
    pool("one"), pool("two")
    for n in range(12):
        ask(broker, f"g{n}", slots=2)
    for n in range(12):
        whole(broker, f"g{n}")
    assert len({holder(broker, f"g{n}") for n in range(12)}) == 2


def test_an_admin_chooses_who_loads_it(pool: NewPool, broker: redis.Redis) -> None:
    one, two = pool("one"), pool("two")
    ask(broker, "a")
    whole(broker, "a")
    first = holder(broker, "a")
    (other,) = {one.badge.name, two.badge.name} - {first}
    client.place(broker, {"m": [other]})
    until(lambda: not client.engines(broker))
    ask(broker, "b")
    whole(broker, "b")
    assert holder(broker, "b") == other
    client.place(broker, {"m": ["elsewhere"]})
    until(lambda: not client.engines(broker))
    ask(broker, "c")
    until(lambda: client.reasons(broker, ["m"]) == {"m": Reason("no_worker")})
    client.place(broker, {})
    whole(broker, "c")


def test_files_of_one_that_vanished_are_waited_for(
    pool: NewPool, broker: redis.Redis, tmp_path: Path
) -> None:
    (tmp_path / "one" / "models" / "tiny-abab").mkdir(parents=True)
    one, two = pool("one"), pool("two")
    source = {"store": "tiny-abab/tiny.gguf"}
    one.close()
    ask(broker, "a", source=source)
    two.ring("m")
    told = {"m": Reason("machine_gone", one.badge.name)}
    until(lambda: client.reasons(broker, ["m"]) == told)
    time.sleep(1)
    assert status(broker, "a") == "waiting"
    pool("one")
    whole(broker, "a")
