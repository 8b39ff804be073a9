"""A worker for the site of the tests' own process: the echo engine in a thread, real claims, real
logs."""

from __future__ import annotations

import threading
import time

import redis

from inference import lease, stream
from inference.contract import Finish, Job, ModelSpec, Tokens
from inference.engines.base import Setup
from inference.engines.echo import EchoEngine

SPEC = ModelSpec("echo", "echo", {}, {"delay_ms": 0, "context_length": 200})


class EchoWorker(threading.Thread):
    """Claims whatever waits for the echo model and writes it. `close` it."""

    def __init__(self, broker: redis.Redis) -> None:
        super().__init__(daemon=True)
        self._broker = broker
        self._over = threading.Event()
        self._engine = EchoEngine()
        self._engine.load(SPEC, Setup(), lambda _: None)
        self._fences: dict[str, int] = {}
        # Whether it takes what waits.
        self.open = True

    def run(self) -> None:
        while not self._over.is_set():
            self._claim()
            if not self._engine.busy():
                time.sleep(0.002)
                continue
            for event in self._engine.step():
                if isinstance(event, Tokens):
                    self._append(event)
                elif isinstance(event, Finish):
                    stream.finish(self._broker, self._fences.pop(event.id), event)

    def close(self) -> None:
        self._over.set()
        self.join(10)

    def _claim(self) -> None:
        claim = lease.claim(self._broker, "echo", 60_000) if self.open else None
        if claim is None:
            return
        log = stream.load(self._broker, claim.id)
        assert log.request
        self._fences[claim.id] = claim.fence
        self._engine.add(Job(log.request, tuple(log.tokens)))

    def _append(self, event: Tokens) -> None:
        asked = stream.append(self._broker, [(self._fences[event.id], event)])
        if asked == [1]:
            self._engine.cancel(event.id)
