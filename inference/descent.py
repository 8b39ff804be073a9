"""The processes below an engine's: they end with it, however it ends. It leads a process group, in
which all are that it starts. Numbers alone are never trusted: the system uses them again."""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

log = logging.getLogger(__name__)
PR_SET_PDEATHSIG = 1
# In the environment: who starts processes.
PARENT = "CHATSITE_ENGINE_PID"
# Clocks are set while processes run, which moves the start times that are computed from them.
DRIFT = 2.0


def lead() -> None:
    """For a process that will start others by multiprocessing: they are told whose they are."""
    os.environ[PARENT] = str(os.getpid())


def die_with_parent() -> None:
    """For a process that multiprocessing has started: the system ends it when the thread that did
    so ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    parent = int(os.environ.get(PARENT) or os.getppid())
    if os.getppid() != parent and not _runs(parent):
        # It has ended before this one could ask.
        os._exit(1)
    lead()


def end_group(leader: int) -> None:
    """End all of a group at once. Its leader must not have been waited for: nobody else has its
    number until then."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def note(records: Path, leader: int) -> Path:
    """What is looked for to end an engine and its group when its worker has died."""
    record = records / f"{leader}.json"
    # A full disk is no reason to do without an engine: its environment is marked, too.
    with contextlib.suppress(OSError, psutil.Error):
        records.mkdir(parents=True, exist_ok=True)
        me = psutil.Process()
        told: dict[str, Any] = {"pid": leader, "created": psutil.Process(leader).create_time()}
        told |= {"worker": me.pid, "worker_created": me.create_time(), **here()}
        record.write_text(json.dumps(told))
    return record


def here() -> dict[str, str]:
    """Where a process number means a process: this machine since it was started, this container."""
    told = {"host": socket.gethostname(), "boot": "", "numbers": ""}
    with contextlib.suppress(OSError):
        told["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        told["numbers"] = str(Path("/proc/self/ns/pid").readlink())
    return told


def reap(records: Path) -> int:
    """End what workers that are gone have left of their engines; how many processes that were."""
    ended, mine = 0, here()
    for path in records.glob("*.json"):
        try:
            told = json.loads(path.read_text())
            leader, created = int(told["pid"]), float(told["created"])
            worker = int(told.get("worker", 0)), float(told.get("worker_created", 0))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        # A machine with which this one shares the folder looks after its own.
        if told.get("host") != mine["host"] or _lives(*worker):
            continue
        # After a new start of the system or the container the numbers are others'.
        left = _left(leader, created) if mine.items() <= told.items() else ()
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
                ended += 1
        path.unlink(missing_ok=True)
    if ended:
        log.warning("%s processes that a dead worker has left were ended.", ended)
    return ended


def memory(leader: int) -> tuple[int, int]:
    """Bytes that a process and all below it have in memory, and how many of them are mapped files
    or shared."""
    whole = mapped = 0
    with contextlib.suppress(psutil.Error):
        first = psutil.Process(leader)
        for process in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                known = process.memory_info()
                whole, mapped = whole + known.rss, mapped + getattr(known, "shared", 0)
    return whole, mapped


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _lives(pid: int, created: float) -> bool:
    try:
        process = psutil.Process(pid) if pid > 0 else None
        return process is not None and abs(process.create_time() - created) < DRIFT
    except psutil.Error:
        return False


def _left(leader: int, created: float) -> Iterator[psutil.Process]:
    """The leader itself and all of its group. Nobody else gets its number while there is one of
    that."""
    with contextlib.suppress(psutil.Error):
        if abs(psutil.Process(leader).create_time() - created) > DRIFT:
            return
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) != leader and process.pid != leader:
                continue
            if process.create_time() > created - DRIFT and _runs(process.pid):
                yield process
