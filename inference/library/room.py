"""What the disk still has to hold for errands that are at work: each says how much it will be, so
that the next one does not count on the same bytes. It writes no model's file."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def counting(folder: Path, total: int) -> Iterator[int]:
    """Bytes that other errands of this disk still bring; nobody else counts meanwhile. From here on
    `folder` is counted with `total` bytes, unless this ends with an exception."""
    gate = os.open(folder.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield promised(folder)
        # Without a lock nobody works there by way of an errand.
        if _lock(folder).exists():
            _lock(folder).write_text(str(total), encoding="ascii")
    finally:
        os.close(gate)


def promised(folder: Path) -> int:
    """What all but this one still bring, of those that a living process works on."""
    return sum(
        _left(lock)
        for lock in folder.parent.glob("*.lock")
        if lock != _lock(folder) and _is_held(lock)
    )


def _lock(folder: Path) -> Path:
    """What the process that does an errand holds locked."""
    return folder.with_name(folder.name + ".lock")


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _left(lock: Path) -> int:
    try:
        total = int(lock.read_text(encoding="ascii") or 0)
    except (OSError, ValueError):
        return 0
    folder = lock.with_suffix("")
    held = sum(_size(each) for each in folder.rglob("*"))
    return max(0, total - held)


def _size(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size if path.is_file() else 0
    except OSError:
        return 0
