"""Which processes belong to a data directory: what a killed `up` has left is found and ended.

A process is ours when it was recorded with its start time, descends from such a one, or carries the
mark in its environment. Numbers alone are never trusted: the system uses them again.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "CHATSITE_UP"
# Clocks are set while processes run, which moves the start times that are computed from them.
DRIFT = 2.0


def record(data: Path, name: str, pid: int) -> None:
    folder = data / "run" / "parts"
    # A full disk is no reason to do without a part: its environment is marked, too.
    with contextlib.suppress(psutil.NoSuchProcess, OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        created = psutil.Process(pid).create_time()
        draft = folder / f".{name}"
        draft.write_text(json.dumps({"pid": pid, "created": created}))
        draft.rename(folder / f"{name}.json")


def reap(data: Path) -> int:
    """End all that belongs to the data directory. Only the holder of its lock may call this."""
    ended = 0
    for _ in range(5):
        left = belonging(data)
        if not left:
            break
        ended += len(left)
        for process in left:
            kill(process)
        wait(left, 5)
    for path in records(data):
        path.unlink(missing_ok=True)
    return ended


def belonging(data: Path) -> list[psutil.Process]:
    me = psutil.Process()
    mine = {me.pid, *(parent.pid for parent in me.parents())}
    found: dict[int, psutil.Process] = {}
    for process in [*recorded(data), *marked(data)]:
        if process.pid not in mine and alive(process):
            found[process.pid] = process
    return list(found.values())


def recorded(data: Path) -> Iterator[psutil.Process]:
    for path in records(data):
        try:
            entry = json.loads(path.read_text())
            process = psutil.Process(int(entry["pid"]))
            if abs(process.create_time() - float(entry["created"])) < DRIFT:
                yield process
                yield from process.children(recursive=True)
        except (OSError, ValueError, KeyError, TypeError, psutil.Error):
            continue


def records(data: Path) -> list[Path]:
    """Parts are recorded by `up`, engine children by the worker that started them."""
    return [*data.glob("run/parts/*.json"), *data.glob("run/engines/*.json")]


def marked(data: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(data):
                yield process
        except (psutil.Error, OSError):
            continue


def kill(process: psutil.Process) -> None:
    """At once and without asking: all parts are made to lose nothing by it."""
    try:
        process.send_signal(signal.SIGKILL)
    except psutil.Error:
        return


def alive(process: psutil.Process) -> bool:
    """A zombie has ended; in a container it may stay in the table for ever."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def wait(processes: list[psutil.Process], seconds: float) -> None:
    until = time.monotonic() + seconds
    while any(alive(process) for process in processes) and time.monotonic() < until:
        time.sleep(0.02)


def mark(data: Path) -> dict[str, str]:
    return {MARK: str(data), "CHATSITE_UP_PID": str(os.getpid())}
