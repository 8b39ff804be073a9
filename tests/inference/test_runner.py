"""The Host with real engine processes: answers are written, and what breaks goes on elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from inference import client, stream
from inference.budget import Budget
from inference.child import ROOT
from inference.contract import TASKS, Task
from inference.hardware import Verdicts
from inference.runner import Host
from inference.settings import Settings
from tests.inference.logs import MODEL, ends, entries, request, status, tokens

WORDS = " ".join(f"word{n}" for n in range(30))
NewHost = Callable[..., Host]


@pytest.fixture
def host(
    broker: redis.Redis, valkey: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NewHost]:
    """Starts Hosts; they are ended with the test."""
    names = (
        "Fragile",
        "Broken",
        "Doomed",
        "Stuck",
        "Tidy",
        "Waiting",
        "Embedding",
        "Turns",
        "Slow",
    )
    engines = ",".join(f"{name.lower()}=tests.inference.crashing:{name}" for name in names)
    monkeypatch.setenv("CHATSITE_ENGINES", engines)
    made: list[Host] = []

    def new(**changes: Any) -> Host:
        settings = replace(Settings(valkey, tmp_path, lease_ms=1000), **changes)
        host = Host(MODEL, settings, broker, "here-1/a", Budget(lambda: 1 << 40))
        made.append(host)
        host.start()
        return host

    yield new
    for host in made:
        host.close()


def ask(broker: redis.Redis, id: str, engine: str = "echo", **fields: Any) -> None:
    settings = {"delay_ms": 10} | fields.pop("settings", {})
    made = request(id, text=fields.pop("text", WORDS), settings=settings, **fields)
    spec = replace(made.model, engine=engine)
    stream.create(broker, replace(made, model=spec))


def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def until_written(broker: redis.Redis, id: str, count: int) -> None:
    until(lambda: len(tokens(broker, id)) >= count)


def finished(broker: redis.Redis, id: str) -> stream.End:
    until(lambda: ends(broker, id))
    (end,) = ends(broker, id)
    return end


def said(broker: redis.Redis, id: str) -> str:
    return "".join(entry.text for entry in entries(broker, id))


def test_it_works(host: NewHost, broker: redis.Redis) -> None:
    ask(broker, "a")
    host()
    assert finished(broker, "a").finish.reason == "stop"
    assert said(broker, "a") == WORDS
    assert tokens(broker, "a") == list(range(30))
    phases = [entry.phase for entry in entries(broker, "a") if entry.phase]
    assert phases[0] == "loading"


def test_several_at_once(host: NewHost, broker: redis.Redis) -> None:
    for n in range(12):
        ask(broker, f"g{n}", text=f"{n} {WORDS}")
    host()
    for n in range(12):
        assert finished(broker, f"g{n}").finish.reason == "stop"
        assert said(broker, f"g{n}") == f"{n} {WORDS}"


def test_a_killed_child_loses_nothing(host: NewHost, broker: redis.Redis) -> None:
    ask(broker, "a")
    running = host()
    for after in (3, 12):
        until_written(broker, "a", after)
        assert running.motor.child
        os.kill(running.motor.child.pid, signal.SIGKILL)
    assert finished(broker, "a").finish.reason == "stop"
    assert said(broker, "a") == WORDS
    assert tokens(broker, "a") == list(range(30))
    assert broker.hget("run:a", "fence") == b"3"


def test_a_stop(host: NewHost, broker: redis.Redis) -> None:
    ask(broker, "a", text=WORDS * 20)
    running = host()
    until(lambda: len(tokens(broker, "a")) > 2)
    began = time.monotonic()
    assert client.cancel(broker, "a") == MODEL
    running.ring()
    assert finished(broker, "a").finish.reason == "cancelled"
    assert time.monotonic() - began < 2


def test_fast_kernels_that_crash_are_not_used_again(
    host: NewHost, broker: redis.Redis, tmp_path: Path
) -> None:
    ask(broker, "a", "fragile")
    host()
    assert finished(broker, "a").finish.reason == "stop"
    assert said(broker, "a") == WORDS
    spec = replace(request("a").model, engine="fragile")
    assert not Verdicts(tmp_path / "engine" / "verdicts.json").about(spec).fast


@pytest.mark.parametrize(
    ("engine", "kind"), [("broken", "model_load_failed"), ("no-such-engine", "engine_missing")]
)
def test_a_model_that_cannot_be_loaded_is_told(
    host: NewHost, broker: redis.Redis, engine: str, kind: str
) -> None:
    ask(broker, "a", engine)
    host()
    assert finished(broker, "a").finish.error == {"kind": kind}


def test_an_engine_that_never_gets_on_is_given_up(host: NewHost, broker: redis.Redis) -> None:
    ask(broker, "a", "doomed")
    host(attempts=2)
    assert finished(broker, "a").finish.error == {"kind": "engine_lost"}


def test_an_engine_that_hangs_is_ended(host: NewHost, broker: redis.Redis) -> None:
    ask(broker, "a", "stuck")
    host(hang_s=1.0)
    assert finished(broker, "a").finish.reason == "stop"
    assert tokens(broker, "a") == list(range(30))


def test_other_settings_wait_for_those_that_run(host: NewHost, broker: redis.Redis) -> None:
    ask(broker, "a")
    running = host()
    until(lambda: len(tokens(broker, "a")) > 2)
    assert running.motor.child
    first = running.motor.child.pid
    stream.create(broker, request("b", text=WORDS, settings={"delay_ms": 5, "slots": 1}))
    running.ring()
    assert finished(broker, "a").finish.reason == "stop"
    assert finished(broker, "b").finish.reason == "stop"
    assert running.motor.child.pid != first
    assert said(broker, "a") == said(broker, "b") == WORDS
    assert broker.hget("run:a", "fence") == b"1"


def test_a_claim_that_was_lost_and_won_again(host: NewHost, broker: redis.Redis) -> None:
    """Late events of the first claim, its end above all, are not taken for the second's."""
    ask(broker, "a")
    running = host()
    until(lambda: len(tokens(broker, "a")) > 3)
    broker.hincrby("run:a", "fence", 1)
    until(lambda: not running.book.runs)
    broker.hset("run:a", "status", "waiting")
    broker.zadd(f"waiting:{MODEL}", {"a": 1})
    running.ring()
    assert finished(broker, "a").finish.reason == "stop"
    assert tokens(broker, "a") == list(range(30))


def test_closing_gives_back(host: NewHost, broker: redis.Redis) -> None:
    ask(broker, "a")
    running = host()
    until(lambda: len(tokens(broker, "a")) > 3)
    assert running.motor.child
    child = running.motor.child.pid
    running.close()
    assert status(broker, "a") == "waiting"
    assert not psutil.pid_exists(child)
    host()
    assert finished(broker, "a").finish.reason == "stop"
    assert said(broker, "a") == WORDS


def test_an_idle_child_is_ended(host: NewHost, broker: redis.Redis) -> None:
    ask(broker, "a", text="Hello")
    running = host(idle_s=0.2)
    finished(broker, "a")
    until(lambda: running.motor.child is None)


def test_all_that_will_have_a_slot_see_the_loading(host: NewHost, broker: redis.Redis) -> None:
    for n in range(3):
        ask(broker, f"g{n}", "slow", text="Hello there", settings={"slots": 2})
    running = host()
    until(lambda: len(running.book.runs) == 2)
    assert running.motor.info is None
    assert status(broker, "g2") == "waiting"
    # It takes one in the end: the other one waits again.
    for n in range(3):
        assert finished(broker, f"g{n}").finish.reason == "stop"
        assert tokens(broker, f"g{n}") == [0, 1]
    told = [[entry.phase for entry in entries(broker, f"g{n}") if entry.phase] for n in range(3)]
    assert [len(phases) > 3 for phases in told] == [True, True, False]
    assert {phase for phases in told for phase in phases} == {"loading"}


@pytest.mark.parametrize("how", ["idle", "closed"])
def test_an_engine_may_put_away_what_it_has(
    host: NewHost, broker: redis.Redis, tmp_path: Path, how: str
) -> None:
    ask(broker, "a", "tidy", text="Hello", settings={"shelf": str(tmp_path / "shelf")})
    running = host(idle_s=0.2 if how == "idle" else 60)
    finished(broker, "a")
    if how == "closed":
        running.close()
    until(lambda: running.motor.child is None)
    assert (tmp_path / "shelf").read_text() == "kept"


def test_what_is_set_aside_is_told_each_time(host: NewHost, broker: redis.Redis) -> None:
    ask(broker, "a", "waiting", text="1 2 3 4 5 6 7")
    host()
    finished(broker, "a")
    log = entries(broker, "a")
    assert [entry.position for entry in log if entry.phase == "waiting"] == [3, 6]


def test_questions_about_tokens_need_no_slot(host: NewHost, broker: redis.Redis) -> None:
    """Neither a seat in the batch nor a turn behind those who wait for one."""
    for n in range(3):
        ask(broker, f"g{n}", text=WORDS, settings={"slots": 1, "delay_ms": 50})
    running = host()
    until_written(broker, "g0", 1)
    for n in range(20):
        ask(
            broker,
            f"q{n}",
            settings={"slots": 1, "delay_ms": 50},
            task=Task("tokenize"),
            prompt="ab",
        )
    running.ring()
    for n in range(20):
        assert finished(broker, f"q{n}").finish.found["tokens"] == [97, 98]
    assert status(broker, "g1") == "waiting"
    for n in range(3):
        assert finished(broker, f"g{n}").finish.reason == "stop"
        assert said(broker, f"g{n}") == WORDS


def test_a_question_alone_loads_its_model(host: NewHost, broker: redis.Redis) -> None:
    host()
    ask(broker, "q", task=Task("detokenize", (104, 105)))
    assert finished(broker, "q").finish.found == {"text": "hi"}


def test_a_question_that_is_taken_back_harms_nothing(host: NewHost, broker: redis.Redis) -> None:
    ask(broker, "q", task=Task("tokenize"), prompt="ab")
    stream.remove(broker, "q")
    host()
    ask(broker, "a")
    assert finished(broker, "a").finish.reason == "stop"
    until(lambda: not broker.exists("waiting:" + MODEL + TASKS))


def test_vectors_go_on_after_a_crash(host: NewHost, broker: redis.Redis, tmp_path: Path) -> None:
    mark = {"mark": str(tmp_path / "mark")}
    ask(broker, "a", "embedding", inputs=("x", "xx", "xxx"), settings=mark)
    host()
    assert finished(broker, "a").finish.reason == "stop"
    assert (tmp_path / "mark").exists()
    vectors = [entry.vector for entry in entries(broker, "a") if entry.vector]
    assert [vector.index for vector in vectors] == [0, 0, 1, 2]
    values = {vector.index: tuple(vector.values) for vector in vectors}
    assert values == {0: (0, 1), 1: (1, 2), 2: (2, 3)}


def test_a_full_engine_takes_on_who_has_nothing_yet(host: NewHost, broker: redis.Redis) -> None:
    for n in range(3):
        ask(broker, f"a{n}", "turns", user="alice", text=WORDS * 20, settings={"slots": 2})
    running = host()
    until_written(broker, "a1", 1)
    ask(broker, "b", "turns", user="bob", settings={"slots": 2})
    running.ring()
    assert finished(broker, "b").finish.reason == "stop"
    assert [status(broker, f"a{n}") for n in range(3)] == ["running", "running", "waiting"]


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    code = (
        "import sys,time; from pathlib import Path; from inference.child import Child\n"
        "print(Child(Path(sys.argv[1])).pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        parent.kill()
    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")
