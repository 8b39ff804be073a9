"""An engine in its own process, as a worker has it: for what is set in the environment before the
library loads. Needs neither site nor broker."""

from __future__ import annotations

import itertools
import math
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil

from inference.child import Child
from inference.contract import Event, Finish, Job, Message, Request, Sampling, Tokens, unpack
from inference.engines.base import Setup
from tests.benchmarks.measuring import question, spec

PATIENCE = 120.0


class ChildEngine:
    """Loaded when it is made. Between two measurements it sleeps at its pipe."""

    def __init__(
        self,
        folder: Path,
        *,
        environment: Mapping[str, str],
        slots: int,
        shelf_bytes: int = 0,
        engine: str = "llamacpp",
        path: Path | None = None,
        **settings: int,
    ) -> None:
        """`settings` without `threads`: the engine chooses and goes on choosing."""
        self._spec = spec({"slots": slots, **settings})
        self._spec = replace(self._spec, engine=engine)
        if path:
            self._spec = replace(self._spec, name=path.stem, source={"path": str(path)})
        self._numbers = itertools.count()
        # Nobody rings: the end of a pipe into which nothing is written.
        self._wake, self._unused = os.pipe()
        with patch.dict(os.environ, environment):
            self._child = Child(folder)
        # A child's start holds back Ctrl-C from its thread, which is a worker's need and not ours.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
        context_length = settings["context_length"]
        setup = Setup(slots=slots, context_length=context_length, shelf_bytes=shelf_bytes)
        self._child.load(self._spec, setup)
        self._hear_until("ready")

    def rate(self, count: int, settle: float, seconds: float) -> float:
        """Tokens per second of `count` greedy answers that run all the time, `settle` seconds after
        all of them write."""
        running = {self._add() for _ in range(count)}
        silent = set(running)
        begin, written = math.inf, 0
        while (now := time.perf_counter()) < begin + seconds:
            for event in self._events():
                if isinstance(event, Tokens):
                    silent.discard(event.id)
                    written += len(event.tokens) if now >= begin else 0
                elif isinstance(event, Finish):
                    running.remove(event.id)
                    running.add(self._add())
            if not silent and begin == math.inf:
                begin = time.perf_counter() + settle
        self._end(running)
        return written / seconds

    def first(self, length: int) -> float:
        """Seconds from a question to the first token of its answer, which has so many."""
        asked = time.perf_counter()
        id, took, ended = self._add(length, "somebody"), 0.0, False
        while not ended:
            for event in self._events():
                if isinstance(event, Tokens):
                    took = took or time.perf_counter() - asked
                ended = ended or (isinstance(event, Finish) and event.id == id)
        return took

    def pace(self, length: int, words: int) -> float:
        """Tokens per second of one answer of so many tokens to a question of so many words, from
        its first token to its last. Quick ones come several at once: each counts when it comes."""
        id, arrivals, ended = self._add(length, words=words), list[tuple[float, int]](), False
        while not ended:
            for event in self._events():
                if isinstance(event, Tokens):
                    arrivals.append((time.perf_counter(), len(event.tokens)))
                elif isinstance(event, Finish) and event.id == id:
                    assert event.error is None, event.error
                    ended = True
        span = arrivals[-1][0] - arrivals[0][0]
        return sum(count for _, count in arrivals[1:]) / max(span, 1e-9)

    @property
    def memory(self) -> int:
        return int(psutil.Process(self._child.pid).memory_info().rss)

    def close(self) -> None:
        self._child.end()
        os.close(self._wake)
        os.close(self._unused)

    def _add(self, length: int = 1024, user: str = "", words: int = 0) -> str:
        id = f"bench-{next(self._numbers)}"
        sampling = Sampling(temperature=0, ignore_eos=True, max_tokens=length)
        messages = (Message("user", question(words)),)
        self._child.add(Job(Request(id, user or id, self._spec, messages, sampling)))
        return id

    def _end(self, running: set[str]) -> None:
        for id in running:
            self._child.cancel(id)
        until = time.monotonic() + PATIENCE
        while running:
            assert time.monotonic() < until, f"{running} do not end."
            running -= {event.id for event in self._events() if isinstance(event, Finish)}

    def _events(self) -> list[Event]:
        messages = self._child.read(1, self._wake)
        return [unpack(event) for message in messages for event in message.get("events", ())]

    def _hear_until(self, word: str) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for message in self._child.read(1, self._wake):
                assert "failed" not in message, message
                if word in message:
                    return message
        raise AssertionError(f"The engine does not say {word!r}.")
