"""Keeps one part alive: starts its process, notices its end, says when it may start again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from chatsite.supervisor import pids
from chatsite.supervisor.parts import Part

LOG_LIMIT = 5_000_000
# A process that dies sooner than this after it was ready has not really worked.
SETTLED = 2.0
LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Ready:
    keeper: Keeper


@dataclass(frozen=True, slots=True)
class Died:
    keeper: Keeper
    code: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody asked `up` itself to end."""

    signal: int


Event = Ready | Died | Stop


class Keeper:
    """One part. Its threads only watch and report: all decisions are made where events are read."""

    def __init__(
        self, part: Part, data: Path, env: dict[str, str], events: SimpleQueue[Event]
    ) -> None:
        self.part = part
        self.data = data
        self.env = env
        self.events = events
        self.process: subprocess.Popen[bytes] | None = None
        self.ready_at: float | None = None
        self.due: float | None = None
        self.quick_deaths = 0

    @property
    def log(self) -> Path:
        return self.data / "logs" / f"{self.part.name}.log"

    def start(self) -> int:
        """A session of its own, so that Ctrl-C at the terminal reaches `up` alone."""
        self.due = None
        self.ready_at = None
        rotate(self.log)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.part.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.env,
                start_new_session=True,
                pass_fds=self.part.inherited,
            )
        pids.record(self.data, self.part.name, self.process.pid)
        name = f"watch {self.part.name}"
        threading.Thread(target=self.watch, args=(self.process,), name=name, daemon=True).start()
        return self.process.pid

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        since = time.time()
        while process.poll() is None:
            if self.part.ready(since):
                self.events.put(Ready(self))
                break
            time.sleep(0.1)
        self.events.put(Died(self, process.wait()))

    def bury(self) -> float:
        """What is left of the dead process's group is ended; the pause before the next start."""
        self.signal(signal.SIGKILL)
        settled = self.ready_at is not None and time.monotonic() - self.ready_at > SETTLED
        self.quick_deaths = 0 if settled else self.quick_deaths + 1
        self.process = None
        pause = min(LONGEST_PAUSE, 2.0 ** (self.quick_deaths - 2)) if self.quick_deaths > 1 else 0.0
        self.due = time.monotonic() + pause
        return pause

    def signal(self, number: int) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def stop(self) -> bool:
        """End the process and its group: kindly, then by force. Whether kindness was enough."""
        if self.process is None:
            return True
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(self.part.grace)
            kindly = True
        except subprocess.TimeoutExpired:
            kindly = False
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        return kindly


def rotate(log: Path) -> None:
    log.parent.mkdir(mode=0o700, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_LIMIT:
            log.replace(log.with_suffix(".log.1"))


def words(code: int) -> str:
    """How a process ended, as one would say it."""
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"was killed by signal {-code}"
