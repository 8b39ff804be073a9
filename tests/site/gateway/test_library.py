"""The door to the models' files: errands are entered and wished about, questions are answered by a
worker or say why not."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import asdict
from pathlib import Path

import pytest
import redis
from django.conf import settings

from chatsite.gateway import broker as gateway_broker
from chatsite.gateway import library
from chatsite.gateway.library import Errand, ErrandState, LibraryError
from inference import board
from inference.badge import Badge
from inference.board import WorkerState
from inference.library import ledger
from inference.library.errands import Errands
from inference.settings import Settings
from tests.hub.fixtures import address, hub
from tests.hub.server import Hub

__all__ = ["hub"]


def greet(broker: redis.Redis) -> None:
    board.greet(broker, WorkerState("here-abc-1", "here", 1, "1", 2, 10, 5))


def test_it_works(broker: redis.Redis) -> None:
    errand = Errand(uuid.uuid4().hex, "download", repo="o/r")
    assert library.enter(errand)
    assert not library.enter(errand)
    assert library.states([errand.id, "none"]) == {errand.id: ErrandState(errand.id)}
    assert library.wish(errand.id, "pause") == "paused"
    assert library.wish(errand.id, "resume") == "waiting"
    assert library.wish(errand.id, "cancel") == "cancelled"
    assert library.wish("none", "pause") is None
    library.forget([errand.id])
    assert library.states([errand.id]) == {}


def test_a_question_is_answered_by_a_worker(
    broker: redis.Redis, valkey: str, hub: Hub, tmp_path: Path
) -> None:
    """The real one, by the path that a page takes."""
    hub.add("owner/small-GGUF", {"a-Q8_0.gguf": b"x"}, downloads=3)
    badge = Badge(tmp_path)
    errands = Errands(Settings(valkey, tmp_path), broker, lambda: badge)
    errands.start()
    greet(broker)
    try:
        at = address(hub)
        (found,) = library.ask("search", hub=at, query="small")
        assert (found["repo"], found["downloads"]) == ("owner/small-GGUF", 3)
        with pytest.raises(LibraryError) as caught:
            library.ask("look", hub=at, repo="owner/none")
        assert (caught.value.kind, caught.value.facts["repo"]) == ("no_access", "owner/none")
        with pytest.raises(LibraryError) as caught:
            library.ask("burn", hub=at)
        assert caught.value.kind == "unknown_question"
        # A hub that says nothing is not waited for without end.
        hub.fail(silent=5, times=9)
        begun = time.monotonic()
        with pytest.raises(LibraryError) as caught:
            library.ask("search", hub=at, timeout=1.5)
        assert caught.value.kind == "no_answer"
        assert time.monotonic() - begun < 4
    finally:
        errands.stop()
        errands.close()
        badge.close()


def test_nobody_is_there_to_answer(broker: redis.Redis) -> None:
    with pytest.raises(LibraryError) as caught:
        library.ask("look", repo="o/r")
    assert caught.value.kind == "no_worker"


def test_a_worker_that_says_nothing(broker: redis.Redis) -> None:
    greet(broker)
    with pytest.raises(LibraryError) as caught:
        library.ask("look", timeout=0.5, repo="o/r")
    assert caught.value.kind == "no_answer"


def test_a_worker_hears_what_was_asked(broker: redis.Redis) -> None:
    greet(broker)
    heard = {}

    def work() -> None:
        while not (found := ledger.take(broker, "here-abc-1")):
            time.sleep(0.02)
        heard.update(found[1])
        ledger.answer(broker, found[0], {"result": [1, 2]})

    thread = threading.Thread(target=work)
    thread.start()
    assert library.ask("look", timeout=5, repo="o/r", revision="main") == [1, 2]
    thread.join()
    assert heard["kind"] == "look"
    assert heard["args"] == {"repo": "o/r", "revision": "main"}
    assert heard["hub"] == asdict(library.Hub()) | {"hosts": []}


def test_the_broker_is_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "REDIS_URL", f"unix://{tmp_path}/none.sock")
    gateway_broker.connect.cache_clear()
    try:
        for call in (
            lambda: library.enter(Errand("a", "remove")),
            lambda: library.states(["a"]),
            lambda: library.wish("a", "pause"),
            lambda: library.ask("look"),
            library.cards,
        ):
            with pytest.raises(LibraryError) as caught:
                call()
            assert caught.value.kind == "broker"
    finally:
        gateway_broker.connect.cache_clear()


def test_who_is_there(broker: redis.Redis) -> None:
    assert library.cards() == []
    greet(broker)
    ((state, machine),) = library.cards()
    assert state.name == "here-abc-1"
    # Before its machine was measured, what every worker says.
    assert (machine.memory_total, machine.memory_free, machine.bandwidth) == (10, 5, 0)
