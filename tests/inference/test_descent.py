"""What an engine starts ends with it: when it is ended, when it dies, when its worker dies, and at
the next start at the latest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from inference.child import ROOT, Child, ChildDiedError
from inference.descent import here, memory, reap
from inference.engines.base import Setup
from tests.inference.parents import spec

# Seconds until nothing is left.
PATIENCE = 10.0


@pytest.fixture(autouse=True)
def parents(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSITE_ENGINES", "parent=tests.inference.parents:Parent")


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Child]:
    child = Child(tmp_path / "engines")
    child.load(spec(tmp_path / "pids"), Setup())
    hear(child)
    yield child
    child.end()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.inference.parents"]
    command += [str(tmp_path / "engines"), json.dumps(asdict(spec(tmp_path / "pids")))]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def hear(child: Child) -> None:
    ear, bell = os.pipe()
    until = time.monotonic() + 20
    try:
        while not any("ready" in message for message in child.read(1, ear)):
            assert time.monotonic() < until
    finally:
        os.close(ear)
        os.close(bell)


def engine_of(worker: subprocess.Popen[str]) -> int:
    assert worker.stdout
    return int(worker.stdout.readline())


def pids(tmp_path: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((tmp_path / "pids").read_text())
    return found


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(*numbers: int) -> bool:
    until = time.monotonic() + PATIENCE
    while any(map(lives, numbers)) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(map(lives, numbers))


def test_it_works(child: Child, tmp_path: Path) -> None:
    started = pids(tmp_path)
    assert all(map(lives, started.values()))
    child.end()
    assert gone(child.pid, *started.values())
    assert list((tmp_path / "engines").iterdir()) == []


def test_they_end_with_an_engine_that_dies(child: Child, tmp_path: Path) -> None:
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(ChildDiedError) as death:
        hear(child)
    assert death.value.code == -signal.SIGKILL
    assert gone(*pids(tmp_path).values())


def test_they_end_with_a_worker_that_dies(worker: subprocess.Popen[str], tmp_path: Path) -> None:
    engine = engine_of(worker)
    worker.kill()
    assert gone(engine, *pids(tmp_path).values())


def test_what_survives_both_is_ended_at_the_next_start(
    worker: subprocess.Popen[str], tmp_path: Path
) -> None:
    engine, started = engine_of(worker), pids(tmp_path)
    # So that neither can do anything for it.
    os.kill(worker.pid, signal.SIGSTOP)
    os.kill(engine, signal.SIGKILL)
    worker.kill()
    worker.wait()
    # The system ends what multiprocessing has started.
    assert gone(engine, started["own"])
    assert lives(started["other"])
    # A helper of multiprocessing may not have noticed yet that it is alone.
    assert reap(tmp_path / "engines") >= 1
    assert gone(started["other"])
    assert list((tmp_path / "engines").iterdir()) == []


def test_engines_of_workers_that_live_are_left_alone(child: Child, tmp_path: Path) -> None:
    assert reap(tmp_path / "engines") == 0
    assert all(map(lives, [child.pid, *pids(tmp_path).values()]))


def test_a_number_that_is_used_again_is_not_believed(child: Child, tmp_path: Path) -> None:
    records = tmp_path / "old"
    records.mkdir()
    told = {"pid": child.pid, "created": 1.0, "worker": 1, "worker_created": 1.0, **here()}
    (records / "old.json").write_text(json.dumps(told | {"created": time.time() + 60}))
    (records / "earlier.json").write_text(json.dumps(told | {"created": time.time() - 3600}))
    (records / "broken.json").write_text("{")
    (records / "odd.json").write_text("[1]")
    assert reap(records) == 0
    assert lives(child.pid)


@pytest.mark.parametrize("other", ["boot", "numbers", "host"])
def test_a_number_of_elsewhere_is_not_believed(child: Child, tmp_path: Path, other: str) -> None:
    """Of the system before its new start, of another container, of a machine that shares the
    folder; whose records are its own."""
    records = tmp_path / "others"
    records.mkdir()
    [record] = (tmp_path / "engines").iterdir()
    told = json.loads(record.read_text()) | {"worker": 1, "worker_created": 1.0, other: "another"}
    (records / "other.json").write_text(json.dumps(told))
    assert reap(records) == 0
    assert lives(child.pid)
    assert (records / "other.json").exists() == (other == "host")


def test_their_memory_counts(child: Child) -> None:
    whole, mapped = memory(child.pid)
    alone = psutil.Process(child.pid).memory_info().rss
    assert whole > alone > 0
    assert 0 < mapped < whole
