"""The name of a worker: the same after each start, another for each of several on one machine. A
lock on a file holds it, which ends with the process however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import socket
from pathlib import Path
from typing import IO


class Badge:
    """`mark` is the name and what no process before had: that is what claims carry."""

    def __init__(self, data_dir: Path) -> None:
        """Take the first name that no living worker of this machine and data directory has."""
        host = socket.gethostname()
        place = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:6]
        self._lock: IO[bytes] | None = None
        folder = data_dir / "run" / "workers"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            place = _place(folder)
            number, self._lock = _first_free(folder, host)
            self.name = f"{host}-{place}-{number}"
        except OSError:
            # A full disk is no reason not to work; only the next start will not know this name.
            self.name = f"{host}-{place}-p{os.getpid()}"
        self.mark = f"{self.name}/{secrets.token_hex(4)}"

    def close(self) -> None:
        if self._lock:
            self._lock.close()


def _place(folder: Path) -> str:
    """Drawn once for each data directory: machines that were copied, and containers, have the same
    names and paths."""
    path = folder / "place"
    if not path.exists():
        draft = folder / f".place-{os.getpid()}"
        draft.write_text(secrets.token_hex(3))
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text()


def _first_free(folder: Path, host: str) -> tuple[int, IO[bytes]]:
    number = 0
    while True:
        number += 1
        # The folder may be shared by several machines, of which each has its own names.
        lock = (folder / f"{host}-{number}.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            lock.truncate(0)
            lock.write(str(os.getpid()).encode())
            lock.flush()
            return number, lock
