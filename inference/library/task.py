"""The parent's handle on a process of the library: start it, hear it, end it with all that it
started."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
# Seconds that it has to end when it is asked to.
PATIENCE = 3.0
# A line is never longer: a list of files is.
LONGEST = 32 << 20


class Task:
    """One process, of one thread's."""

    def __init__(self, command: dict[str, Any]) -> None:
        """A process group of its own: a stop of the worker's reaches it through us alone, and what
        it starts ends with it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inference.library.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={"PYTHONUNBUFFERED": "1", **os.environ},
            start_new_session=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        self._rest = self._last = b""
        with contextlib.suppress(BrokenPipeError):
            self._in.write(json.dumps(command).encode() + b"\n")
            self._in.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    def hear(self, timeout: float) -> list[dict[str, Any]] | None:
        """What it said, waiting up to `timeout` seconds; None where it has ended."""
        ready, _, _ = select.select([self._out], [], [], timeout)
        if not ready:
            return []
        data = os.read(self._out.fileno(), 1 << 16)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST:
            return None
        return [json.loads(line) for line in lines]

    def rest(self) -> list[dict[str, Any]]:
        """Its last words, after its end; half a line is none."""
        return [json.loads(line) for line in self._last.split(b"\n")[:-1]]

    def end(self) -> int:
        """Gently first; its exit status."""
        self._signal(signal.SIGTERM)
        until = time.monotonic() + PATIENCE
        while self._process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        # The group may outlive its leader.
        self._signal(signal.SIGKILL)
        code = self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._in.close()
        self._last = self._rest + self._out.read()
        self._out.close()
        return code

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)
