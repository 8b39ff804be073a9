"""One `up` per data directory: the lock, and the folder that only its owner may read."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from pathlib import Path
from typing import IO

from chatsite.supervisor.trouble import Trouble


def claim(data: Path, address: str) -> IO[str]:
    """Take the data directory. The lock lives as long as the returned file is open, and no longer:
    the system lets go of it however this process ends."""
    secure(data)
    run = data / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    file = (run / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read()
        file.close()
        raise Trouble("running", taken(data, holder)) from None
    file.seek(0)
    file.truncate()
    json.dump({"pid": os.getpid(), "address": address}, file)
    file.flush()
    return file


def share(data: Path) -> None:
    """For a web process of its own on this directory's database: several may run, but
    nobody takes the directory meanwhile. Held to the end of this process, also by what it becomes.
    Where `up` has the lock, that one is enough."""
    run = data / "run"
    run.mkdir(mode=0o700, exist_ok=True)
    file = os.open(run / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
    else:
        os.set_inheritable(file, True)


def secure(data: Path) -> None:
    """Make the folder private; a folder that others share is refused rather than closed to them."""
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = data.stat()
    except OSError as error:
        raise Trouble(
            "folder", f"The data directory {data} cannot be used: {error.strerror}."
        ) from None
    if found.st_uid != os.getuid() or found.st_mode & stat.S_ISVTX or data == Path.home():
        raise Trouble(
            "folder", f"{data} is not a folder of its own. Choose another one with --data-dir."
        )
    data.chmod(0o700)


def taken(data: Path, holder: str) -> str:
    try:
        first = json.loads(holder)
        who = f" (process {first['pid']}, {first['address']})"
    except (ValueError, KeyError, TypeError):
        who = ""
    return (
        f"This site is running already on the data directory {data}{who}.\n"
        "Stop that one first, or give this one a data directory of its own with --data-dir."
    )
