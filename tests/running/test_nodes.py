"""Two really started workers on machines of their own serve one site, with the real model too; one
is drained, one is killed, and one of another version gets nothing to do."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from openai import OpenAI

from chatsite.supervisor import sockets
from inference import client as room
from inference import release
from inference.client import Reason
from inference.release import OURS, Release
from tests.live import ROOT, Site, clean_environment

pytestmark = pytest.mark.live
STARTER = "smollm2-135m-instruct"
WORKER = [sys.executable, str(ROOT / "manage.py"), "worker"]
LONG = " ".join(f"word{n}" for n in range(150))


class Machine:
    """A worker with a data directory of its own."""

    def __init__(self, url: str, folder: Path) -> None:
        settings = {"REDIS_URL": url, "CHATSITE_DATA_DIR": str(folder), "CHATSITE_SLOTS": "2"}
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                WORKER, env=clean_environment() | settings, cwd=ROOT, stdout=log, stderr=log
            )

    def name(self, broker: redis.Redis) -> str:
        until(lambda: any(each.pid == self.process.pid for each in room.workers(broker)), 40)
        return next(w.name for w in room.workers(broker) if w.pid == self.process.pid)

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(20) == 0


@pytest.fixture
def broker(site: Site) -> Iterator[redis.Redis]:
    site.wait_ready()
    with redis.Redis.from_url(f"unix://{sockets.broker(site.data)}") as client:
        yield client
        for name in room.resting(client):
            room.resume(client, name)


@pytest.fixture
def second(site: Site, broker: redis.Redis, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine(f"unix://{sockets.broker(site.data)}", tmp_path)
    yield machine
    if machine.process.poll() is None:
        machine.end()


def until(condition: Callable[[], Any], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def first(broker: redis.Redis, but: str) -> str:
    """The site's own worker."""
    return next(worker.name for worker in room.workers(broker) if worker.name != but)


def writers(broker: redis.Redis, model: str) -> set[str]:
    """Who wrote the answers of this model, of late."""
    runs = [broker.hmget(key, "model", "worker") for key in broker.scan_iter("run:*")]
    mine: Any = [worker for name, worker in runs if name == model.encode() and worker]
    return {worker.decode().partition("/")[0] for worker in mine}


def ask(client: OpenAI, model: str, text: str, tokens: int) -> str:
    told = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], max_tokens=tokens
    )
    return told.choices[0].message.content or ""


def ask_all(client: OpenAI, model: str, texts: Sequence[str]) -> list[str]:
    with ThreadPoolExecutor(len(texts)) as pool:
        return list(pool.map(lambda text: ask(client, model, text, 150), texts))


@pytest.mark.parametrize(("model", "count", "text"), [("echo", 40, LONG), (STARTER, 16, "Hello")])
def test_it_works(
    client: OpenAI, broker: redis.Redis, second: Machine, model: str, count: int, text: str
) -> None:
    """A line that is longer than a load takes is shared by both."""
    name = second.name(broker)
    broker.hset(f"pace:{model}", mapping={"ms": 20_000, "load_ms": 1000})
    both = {name, first(broker, name)}
    answers = ask_all(client, model, [f"{n} {text}" for n in range(count)])
    assert all(answers)
    assert {e.worker for e in room.engines(broker) if e.model == model} == both
    assert writers(broker, model) >= both
    second.end()
    gone = next(seen for seen in room.roster(broker) if seen.state.name == name)
    assert (gone.lives, gone.state.duty) == (False, "off")
    room.forget(broker, name)


def test_what_a_drained_machine_wrote_goes_on_elsewhere(
    client: OpenAI, broker: redis.Redis, second: Machine
) -> None:
    name = second.name(broker)
    other = first(broker, name)
    with written_by(client, broker, name, other) as answer:
        room.resume(broker, other)
        room.rest(broker, name, 0)
        assert answer.result(40) == LONG * 3
    until(lambda: standing(broker, name) == "drained")
    assert working(broker, name) == 0


def test_what_a_killed_machine_wrote_goes_on_elsewhere(
    client: OpenAI, broker: redis.Redis, second: Machine
) -> None:
    name = second.name(broker)
    other = first(broker, name)
    with written_by(client, broker, name, other) as answer:
        second.process.kill()
        second.process.wait(10)
        told = {"echo": Reason("draining", other)}
        until(lambda: room.reasons(broker, ["echo"]) == told)
        room.resume(broker, other)
        assert answer.result(40) == LONG * 3
    room.forget(broker, name)


@pytest.mark.parametrize("protocol", [OURS.protocol + 1, OURS.protocol - 1])
def test_one_of_another_version_is_refused(valkey: str, tmp_path: Path, protocol: int) -> None:
    """By a site that is newer, and by one that is older; with its upgrade it is right at once."""
    with redis.Redis.from_url(valkey) as broker:
        broker.flushall()
        release.announce(broker, Release("9.9", protocol))
        machine = Machine(valkey, tmp_path)
        try:
            name = machine.name(broker)
            until(lambda: standing(broker, name) == "refused")
            assert f"the site has version 9.9 (protocol {protocol})" in machine.log.read_text()
            release.announce(broker)
            until(lambda: standing(broker, name) == "on")
            assert "This worker works" in machine.log.read_text()
        finally:
            machine.end()


@contextmanager
def written_by(client: OpenAI, broker: redis.Redis, name: str, other: str) -> Iterator[Future[str]]:
    """A long answer that one machine writes while the other rests."""
    room.rest(broker, other)
    until(lambda: standing(broker, other) == "drained")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, client, "echo", LONG * 3, 450)
        until(lambda: working(broker, name))
        yield answer


def standing(broker: redis.Redis, name: str) -> str:
    return next((each.duty for each in room.workers(broker) if each.name == name), "")


def working(broker: redis.Redis, name: str) -> int:
    return sum(engine.running for engine in room.engines(broker) if engine.worker == name)
