"""The parent's handle on an engine child: start it, write commands, read messages, end it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inference.contract import Job, ModelSpec
from inference.descent import end_group, note
from inference.engines.base import Setup

ROOT = Path(__file__).resolve().parent.parent
STOPS = {signal.SIGINT, signal.SIGTERM}
# Seconds that a child has to put away what it has computed.
PATIENCE = 3.0


class ChildDiedError(Exception):
    """The engine process ended. `code` is its exit status, negative for a signal."""

    def __init__(self, code: int) -> None:
        super().__init__(f"The engine ended with {code}.")
        self.code = code


class Child:
    """One engine process. Not thread-safe: its Host alone uses it."""

    def __init__(self, records: Path) -> None:
        """Start it; `records` is the folder where its process id stands until it has ended."""
        # A stop of the whole process group is not for it: its Host is to hear of it first and ends
        # it then. It ignores the signals once it runs; until then they wait, for a mask is
        # inherited. What this thread starts later is to hear them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "inference.engines.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
                env={"PYTHONUNBUFFERED": "1", **os.environ},
                # What it starts itself is found by that and ends with it.
                process_group=0,
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert self._process.stdin
        assert self._process.stdout
        self._in, self._out = self._process.stdin, self._process.stdout
        self._rest = b""
        self._record = note(records, self.pid)

    @property
    def pid(self) -> int:
        return self._process.pid

    def load(self, spec: ModelSpec, setup: Setup) -> None:
        self._send({"load": asdict(spec), "setup": asdict(setup)})

    def add(self, job: Job) -> None:
        request = job.request.to_json()
        told = {"tokens": job.tokens, "attempt": job.attempt}
        told |= {"text": job.text, "reasoning": job.reasoning}
        self._send({"add": {"request": request, **told}})

    def cancel(self, id: str) -> None:
        self._send({"cancel": id})

    def read(self, timeout: float, wake: int) -> list[dict[str, Any]]:
        """The messages that came, waiting up to `timeout` seconds or until `wake` is readable."""
        ready, _, _ = select.select([self._out, wake], [], [], timeout)
        if self._out not in ready:
            return []
        # Not through the file object: what its buffer keeps back, select does not see.
        data = os.read(self._out.fileno(), 1 << 16)
        if not data:
            raise ChildDiedError(self._reap())
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self, patience: float = PATIENCE) -> bool:
        """Let it put away what it has computed; whether it did within `patience` seconds. What else
        it says is lost, and `end` must follow."""
        until = time.monotonic() + patience
        with contextlib.suppress(ChildDiedError):
            self._send({"close": True})
            while (left := until - time.monotonic()) > 0:
                if any("closed" in message for message in self._await(left)):
                    return True
        return False

    def _await(self, timeout: float) -> list[dict[str, Any]]:
        return self.read(timeout, self._out.fileno())

    def end(self) -> None:
        """End it now and wait until it is gone."""
        if self._process.returncode is None:
            end_group(self.pid)
        self._process.wait()
        # What was not written any more is not missed.
        with contextlib.suppress(BrokenPipeError):
            self._in.close()
        self._out.close()
        self._record.unlink(missing_ok=True)

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._in.write(json.dumps(message).encode() + b"\n")
            self._in.flush()
        except BrokenPipeError:
            raise ChildDiedError(self._reap()) from None

    def _reap(self) -> int:
        """Its exit status; native code that hangs while it ends gets no more time, nor do the
        processes that it has started."""
        until = time.monotonic() + 5
        while not self._ended() and time.monotonic() < until:
            time.sleep(0.005)
        if self._process.returncode is None:
            end_group(self.pid)
        return self._process.wait()

    def _ended(self) -> bool:
        """Without waiting for it: its number stays its own."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
