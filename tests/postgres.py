"""A PostgreSQL server for one test run: a socket in a temporary folder, no port."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binaries() -> Path | None:
    """The newest installed server's folder."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name)
    )
    if found:
        return found[-1]
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The URL of a fresh server. Where root runs the tests, a user without rights runs it."""
    home = Path(tempfile.mkdtemp(prefix="chatsite-pg-"))
    data = home / "data"
    user = owner() if os.getuid() == 0 else None
    if user:
        os.chown(home, pwd.getpwnam(user).pw_uid, -1)
    initdb = [f"{folder}/initdb", "-D", str(data), "-U", "chatsite", "-A", "trust", "-E", "UTF8"]
    run = [f"{folder}/postgres", "-D", str(data), "-k", str(home), "-c", "listen_addresses=", "-F"]
    try:
        subprocess.run(
            [*initdb, "--no-sync", "--locale=C.UTF-8"],
            check=True,
            stdout=subprocess.DEVNULL,
            user=user,
            cwd=home,
        )
        with subprocess.Popen(run, stderr=subprocess.DEVNULL, user=user, cwd=home) as process:
            try:
                wait(home)
                yield f"postgres://chatsite@/postgres?host={home}"
            finally:
                # Fast: at a mere SIGTERM it waits for whoever is still connected, maybe for ever.
                process.send_signal(signal.SIGINT)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def owner() -> str:
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def wait(home: Path) -> None:
    until = time.monotonic() + 30
    while not (home / ".s.PGSQL.5432").exists():
        if time.monotonic() > until:
            raise TimeoutError("PostgreSQL does not start")
        time.sleep(0.05)
