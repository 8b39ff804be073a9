"""An engine that takes no processor, as one does that computes on a GPU: so many slots, each with a
token whenever the clock says so. A token is the time at which it was said."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from inference.contract import Event, Finish, Job, ModelSpec, Request, Tokens
from inference.engines.base import Info, Setup


class SyntheticEngine:
    """`slots` and `rate` (tokens per second of each slot) stand in the settings."""

    def load(self, spec: ModelSpec, setup: Setup, report: Callable[[float], None]) -> Info:
        self._slots = int(spec.settings["slots"])
        self._pause = 1 / float(spec.settings["rate"])
        self._jobs: dict[str, Job] = {}
        self._due, self._said = 0.0, 0
        return Info(self._slots, 1 << 16)

    def add(self, job: Job) -> None:
        self._jobs[job.request.id] = job

    def cancel(self, id: str) -> None:
        if job := self._jobs.get(id):
            sampling = replace(job.request.sampling, max_tokens=len(job.tokens))
            self._jobs[id] = replace(job, request=replace(job.request, sampling=sampling))

    def answer(self, request: Request) -> dict[str, Any]:
        raise NotImplementedError

    def busy(self) -> bool:
        return bool(self._jobs)

    def step(self) -> list[Event]:
        now = time.monotonic()
        self._due = max(self._due + self._pause, now)
        time.sleep(self._due - now)
        word = f"{time.monotonic():.4f} "
        return [self._say(id, job, word) for id, job in list(self._jobs.items())]

    def rest(self) -> bool:
        return False

    def stats(self) -> dict[str, float]:
        return {"running": len(self._jobs), "slots": self._slots, "generated_tokens": self._said}

    def close(self) -> None:
        pass

    def _say(self, id: str, job: Job, word: str) -> Event:
        position = len(job.tokens) + 1
        if position > (job.request.sampling.max_tokens or 0):
            del self._jobs[id]
            return Finish(id, "length", stats={"prompt_tokens": 1})
        self._jobs[id] = replace(job, tokens=(*job.tokens, position))
        self._said += 1
        return Tokens(id, position, (position,), word)
