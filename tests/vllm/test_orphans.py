"""vLLM's own processes hold the memory of a card: none is left of an engine that was killed, nor of
one whose worker was."""

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

from inference.child import ROOT
from inference.contract import ModelSpec
from inference.descent import reap

# Seconds until nothing is left, and that a load may take.
PATIENCE, LOAD = 10.0, 240.0


@pytest.fixture
def worker(
    tmp_path: Path, safetensors: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[subprocess.Popen[str]]:
    """A worker with an engine that has as many processes as it can have on one processor."""
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    settings = {"context_length": 512, "slots": 2, "kv_cache_bytes": 1 << 28}
    spec = ModelSpec("tiny", "vllm", {"path": str(safetensors)}, settings)
    command = [sys.executable, "-m", "tests.inference.parents"]
    command += [str(tmp_path / "engines"), json.dumps(asdict(spec))]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def engine_of(worker: subprocess.Popen[str]) -> psutil.Process:
    """Its engine, when that is loaded."""
    assert worker.stdout
    return psutil.Process(int(worker.stdout.readline()))


def below(process: psutil.Process) -> list[psutil.Process]:
    found = process.children(recursive=True)
    assert len(found) >= 2
    return found


def left(processes: list[psutil.Process]) -> list[psutil.Process]:
    until = time.monotonic() + PATIENCE
    while found := [each for each in processes if lives(each)]:
        if time.monotonic() > until:
            return found
        time.sleep(0.05)
    return []


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_it_works(worker: subprocess.Popen[str]) -> None:
    """The worker dies: the engine notices."""
    engine = engine_of(worker)
    processes = [engine, *below(engine)]
    worker.kill()
    assert left(processes) == []


def test_of_a_killed_engine_nothing_is_left(worker: subprocess.Popen[str], tmp_path: Path) -> None:
    """Nobody is there to notice: the system itself ends what depends on the engine."""
    engine = engine_of(worker)
    processes = below(engine)
    os.kill(worker.pid, signal.SIGSTOP)
    engine.kill()
    worker.kill()
    worker.wait()
    assert left(processes) == []
    # The record that the worker has left is done with at its next start.
    reap(tmp_path / "engines")
    assert list((tmp_path / "engines").iterdir()) == []


def test_while_it_loads_it_is_no_other(worker: subprocess.Popen[str]) -> None:
    (engine,) = until_loading(worker)
    processes = [engine, *engine.children(recursive=True)]
    worker.kill()
    assert left(processes) == []


def until_loading(worker: subprocess.Popen[str]) -> list[psutil.Process]:
    """The engine, as soon as vLLM has a process of its own."""
    until = time.monotonic() + LOAD
    while time.monotonic() < until:
        for engine in psutil.Process(worker.pid).children():
            if any("spawn_main" in " ".join(each.cmdline()) for each in engine.children()):
                return [engine]
        time.sleep(0.1)
    raise AssertionError("vLLM starts no process.")
