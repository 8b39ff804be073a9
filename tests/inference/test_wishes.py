"""What an admin wishes of a model: that it stays in memory, that it goes, and that a request
reaches the worker which has the files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from inference import board, client, stream
from inference.board import WorkerState
from inference.budget import Budget
from inference.contract import ModelSpec, Task
from inference.pool import folders
from inference.runner import Host
from inference.settings import Settings
from tests.inference.logs import MODEL, ends, request, tokens

NewHost = Callable[..., Host]
WORDS = " ".join(f"word{n}" for n in range(60))


@pytest.fixture
def host(broker: redis.Redis, valkey: str, tmp_path: Path) -> Iterator[NewHost]:
    """Starts Hosts; they are ended with the test."""
    made: list[Host] = []

    def new(worker: str = "here-1", **changes: Any) -> Host:
        settings = replace(Settings(valkey, tmp_path, lease_ms=1000), **changes)
        host = Host(MODEL, settings, broker, f"{worker}/a", Budget(lambda: 1 << 40))
        made.append(host)
        host.start()
        return host

    yield new
    for host in made:
        host.close()


def ask(broker: redis.Redis, id: str, text: str = "one two") -> None:
    stream.create(broker, request(id, text=text, settings={"delay_ms": 20}))


def load(broker: redis.Redis) -> None:
    """As the site does it where somebody wants a model in memory."""
    made = replace(request("task"), task=Task("tokenize"), prompt="", messages=())
    stream.create(broker, made)


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def is_loaded(broker: redis.Redis) -> bool:
    return any(engine.state != "loading" for engine in client.engines(broker))


def test_it_works(host: NewHost, broker: redis.Redis) -> None:
    load(broker)
    running = host()
    until(lambda: is_loaded(broker))
    client.ask_unload(broker, MODEL)
    until(lambda: running.motor.child is None)
    until(lambda: not client.engines(broker))
    # The old wish is not meant for the next engine.
    ask(broker, "a")
    running.ring()
    until(lambda: ends(broker, "a"))
    time.sleep(2.5)
    assert running.motor.child


def test_what_is_being_written_is_finished_first(host: NewHost, broker: redis.Redis) -> None:
    ask(broker, "a", WORDS)
    running = host()
    until(lambda: is_loaded(broker) and len(tokens(broker, "a")) > 3)
    # A first look has seen that nobody wished anything.
    time.sleep(1.2)
    client.ask_unload(broker, MODEL)
    until(lambda: ends(broker, "a"))
    assert ends(broker, "a")[0].finish.reason == "stop"
    assert len(tokens(broker, "a")) == 60
    until(lambda: running.motor.child is None)


def test_one_that_is_kept_does_not_go_for_idleness(host: NewHost, broker: redis.Redis) -> None:
    client.keep(broker, [MODEL])
    load(broker)
    running = host(idle_s=2)
    until(lambda: is_loaded(broker))
    until(lambda: not running.book.runs)
    time.sleep(4)
    assert running.motor.child
    # Nor does it make room for another model by itself.
    assert not running.idle
    client.keep(broker, [])
    until(lambda: running.motor.child is None)


def test_a_request_waits_for_the_worker_that_has_the_files(
    host: NewHost, broker: redis.Redis, tmp_path: Path
) -> None:
    here = WorkerState("here-1", "a", 1, "", 2, 1, 1, engines=("llamacpp",))
    there = replace(here, name="there-1", folders=("tiny-abab",))
    board.greet(broker, here)
    board.greet(broker, there)
    spec = ModelSpec(MODEL, "llamacpp", {"store": "tiny-abab/tiny.gguf"})
    stream.create(broker, replace(request("a"), model=spec))
    running = host()
    time.sleep(1.5)
    assert not ends(broker, "a")
    assert broker.zcard(f"waiting:{MODEL}") == 1
    # Also when the other one is gone: it may come back.
    board.part(broker, there)
    running.ring()
    time.sleep(1)
    assert not ends(broker, "a")
    # Nobody expects it any more: it fails now, and says so.
    board.forget(broker, "there-1")
    running.ring()
    until(lambda: ends(broker, "a"))
    (end,) = ends(broker, "a")
    assert end.finish.error == {"kind": "model_load_failed"}


def test_only_what_has_landed_is_told(tmp_path: Path) -> None:
    assert folders(tmp_path / "models") == ()
    for name in ("tiny-abab", ".incoming", ".quarantine"):
        (tmp_path / "models" / name).mkdir(parents=True)
    assert folders(tmp_path / "models") == ("tiny-abab",)
