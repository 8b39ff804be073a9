"""An engine that is one function: batches, ends, stops, limits and crashes are done for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from inference.budget import Budget
from inference.contract import Event, Finish, Job, Message, ModelSpec, Request, Sampling, Tokens
from inference.engines import registry
from inference.engines.base import Engine, Setup
from inference.pool import can
from inference.runner import Host
from inference.settings import Settings
from tests.inference.logs import MODEL, entries
from tests.inference.own import Counting
from tests.inference.test_runner import ask, finished, said

NUMBERS = " ".join(map(str, range(1, 31)))
OWN = (
    "counting=tests.inference.own:Counting,gone=tests.inference.own:Nobody,"
    "absent=tests.inference.own:Absent,nowhere=no_such_package.engine:Engine,nonsense"
)


def engine(**settings: Any) -> Counting:
    made = Counting()
    made.load(spec(**settings), Setup(), lambda _: None)
    return made


def spec(**settings: Any) -> ModelSpec:
    return ModelSpec(MODEL, "counting", {}, settings)


def job(*known: Any, id: str = "a", **fields: Any) -> Job:
    sampling = Sampling(**fields.pop("sampling", {}))
    fields.setdefault("messages", (Message("user", "Count, please."),))
    return Job(Request(id, "alice", spec(), sampling=sampling, **fields), *known)


def run(engine: Engine, *jobs: Job) -> list[Event]:
    for each in jobs:
        engine.add(each)
    events: list[Event] = []
    until = time.monotonic() + 10
    while engine.busy():
        assert time.monotonic() < until
        events += engine.step()
    return events


def text(events: list[Event], id: str = "a") -> str:
    said = [each for each in events if each.id == id]
    return "".join(each.text for each in said if isinstance(each, Tokens | Finish))


def end(events: list[Event]) -> Finish:
    (found,) = (each for each in events if isinstance(each, Finish))
    return found


def test_it_works() -> None:
    made = engine()
    events = run(made, job())
    assert text(events) == NUMBERS
    positions = [each.position for each in events if isinstance(each, Tokens)]
    assert positions == list(range(1, 31))
    assert end(events).reason == "stop"
    assert end(events).stats == {"prompt_tokens": 2, "context_length": 4096, "left_out": 0}
    assert made.stats()["generated_tokens"] == 30


def test_two_at_once_and_a_third_waits() -> None:
    made = engine(delay_ms=5)
    events = run(made, *(job(id=id) for id in "abc"))
    assert {text(events, id) for id in "abc"} == {NUMBERS}
    order = [each.id for each in events if isinstance(each, Tokens)]
    assert order.index("c") > 40
    assert {*order[:10]} == {"a", "b"}


def test_limits() -> None:
    made = engine()
    events = run(made, job(sampling={"max_tokens": 3}))
    assert sum(isinstance(each, Tokens) for each in events) == 3
    assert end(events).reason == "length"
    assert made.asked[-1][1].max_tokens == 3
    assert end(run(made, job(sampling={"stop": (" 5",)}))).reason == "stop"
    assert text(run(made, job(sampling={"stop": (" 5",)}))) == "1 2 3 4"


def test_it_is_told_how_much_room_is_left() -> None:
    made = engine(context_length=20)
    assert end(run(made, job())).reason == "length"
    assert made.asked[-1][1].max_tokens == 18
    long = (Message("user", "one " * 20), Message("assistant", "1"), Message("user", "two words"))
    refused = end(run(made, job(messages=long)))
    sizes = {"prompt_tokens": 23, "context_length": 20}
    assert refused.error == {"kind": "context_length_exceeded", **sizes}
    kept = end(run(made, job(messages=long, drop_oldest=True)))
    assert kept.stats["left_out"] == 2
    assert made.asked[-1][0] == ["two words"]


def test_a_stop_closes_the_generator() -> None:
    made = engine(delay_ms=20)
    made.add(job())
    while not any(isinstance(each, Tokens) for each in made.step()):
        pass
    made.cancel("a")
    began = time.monotonic()
    assert end(run(made)).reason == "cancelled"
    assert time.monotonic() - began < 0.02
    assert made.left.wait(1)
    made.cancel("nobody")


@pytest.mark.parametrize("known", ["1 2 3", "1 2 3 "])
def test_what_was_said_is_not_said_again(known: str) -> None:
    made = engine()
    events = run(made, job((-1,) * 3, 2, known, sampling={"max_tokens": 6}))
    assert known + text(events) == "1 2 3 4 5 6 7"
    assert [each.position for each in events if isinstance(each, Tokens)] == [4, 5, 6]
    assert made.asked[-1][0] == ["Count, please.", "1 2 3"]
    assert made.asked[-1][1].max_tokens == 3


def test_a_text_that_could_be_the_beginning_of_a_stop_comes_once() -> None:
    stop = {"stop": (" 3 4 5 6",)}
    # Readers have the space, which had turned out to be harmless, and its word had been held back.
    events = run(engine(), job((-1,) * 2, 2, "1 2 ", sampling=stop))
    assert "1 2 " + text(events) == "1 2" + " "


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"inputs": ("a text",)}, "wrong_model"),
        ({"prompt": "One, two,"}, "wrong_model"),
        ({"tools": ({"type": "function"},)}, "tools_refused"),
    ],
)
def test_what_it_cannot_do_is_said(fields: Any, kind: str) -> None:
    refused = end(run(engine(), job(**fields)))
    assert refused.error
    assert refused.error["kind"] == kind


def test_an_error_ends_one_answer() -> None:
    made = engine(**{"raise": 3})
    events = run(made, job())
    assert text(events) == "1 2"
    assert end(events).error == {
        "kind": "engine_failed",
        "prompt_tokens": 2,
        "context_length": 4096,
    }


def test_silence_ends_the_process() -> None:
    made = engine(hang=True, patience=0.1)
    with pytest.raises(TimeoutError):
        run(made, job())


@pytest.fixture
def host(
    broker: redis.Redis, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Host]]:
    monkeypatch.setenv("CHATSITE_ENGINES", OWN)
    made: list[Host] = []

    def new() -> Host:
        made.append(
            Host(MODEL, Settings(valkey, tmp_path), broker, "here-1/a", Budget(lambda: 1 << 40))
        )
        made[-1].start()
        return made[-1]

    yield new
    for each in made:
        each.close()


def test_a_crash_repeats_nothing(
    host: Callable[[], Host], broker: redis.Redis, tmp_path: Path
) -> None:
    ask(broker, "a", "counting", settings={"crash": str(tmp_path / "mark"), "delay_ms": 30})
    host()
    assert finished(broker, "a").finish.reason == "stop"
    assert said(broker, "a") == NUMBERS
    assert (tmp_path / "mark").exists()
    assert broker.hget("run:a", "fence") == b"2"
    assert max(entry.position for entry in entries(broker, "a")) == 30


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gone", "engine_missing"),
        ("nowhere", "engine_missing"),
        ("unheard-of", "engine_missing"),
        ("absent", "model_load_failed"),
    ],
)
def test_one_that_cannot_be_made_is_told(
    host: Callable[[], Host], broker: redis.Redis, name: str, kind: str
) -> None:
    ask(broker, "a", name)
    host()
    assert finished(broker, "a").finish.error == {"kind": kind}


def test_a_worker_offers_those_whose_package_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSITE_ENGINES", OWN)
    named = [name for name in registry.names() if name not in registry.ENGINES]
    assert named == ["counting", "gone", "absent", "nowhere"]
    assert [name for name in named if can(name)] == ["counting", "gone", "absent"]
