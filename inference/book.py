"""The generations that one Host holds: writes what the engine says into their logs and keeps their
leases. It claims nothing and starts nothing."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import redis

from inference import lease, stream
from inference.contract import Event, Finish, Job, Progress, Tokens, Vector
from inference.link import Link

log = logging.getLogger(__name__)
# Leases are renewed this many times within their length.
RENEWALS = 5


@dataclass(slots=True)
class Run:
    """A generation that this Host holds. `fence` proves it to the log.

    The engine knows it as `key`: where a claim was lost and won again, late events of the first
    must not be taken for the second's.
    """

    id: str
    fence: int
    job: Job
    position: int
    phase: str = ""
    # Told to the engine; after that only the end is awaited.
    stopping: bool = False

    @property
    def key(self) -> str:
        return f"{self.id}.{self.fence}"

    @property
    def is_task(self) -> bool:
        return self.job.request.task is not None

    @property
    def keyed(self) -> Job:
        """The job as the engine gets it."""
        return replace(self.job, request=replace(self.job.request, id=self.key))


class Book:
    """`cancel` tells the engine that a key shall end; False where there is no engine to tell."""

    def __init__(self, link: Link, lease_ms: int, cancel: Callable[[str], bool]) -> None:
        self.runs: dict[str, Run] = {}
        # When a run began or ended last.
        self.used = time.monotonic()
        self._link = link
        self._lease_ms = lease_ms
        self._cancel = cancel
        self._renewed = 0.0
        # Taken over by others, but their slots in the engine are free only when it has said so.
        self._leaving: set[str] = set()

    @property
    def held(self) -> int:
        """How many jobs the engine has in work for it."""
        return len(self.runs) - self.tasks + len(self._leaving)

    @property
    def tasks(self) -> int:
        """How many questions about tokens it has beside them."""
        return sum(run.is_task for run in self.runs.values())

    def open(self, run: Run) -> None:
        self.runs[run.key] = run
        self.used = time.monotonic()

    def write(self, events: list[Event]) -> None:
        """One step of the engine: the tokens of all in one round trip, then the rest."""
        held = [event for event in events if event.id in self.runs]
        tokens = [(self.runs[e.id], e) for e in held if isinstance(e, Tokens)]
        if tokens:
            self._append(tokens)
        for other in held:
            if isinstance(other, Finish):
                self.finish(other)
            elif isinstance(other, Progress):
                self.report(other)
            elif isinstance(other, Vector):
                self._embed(other)
        # Last: an end may come together with tokens whose write says that somebody else has it.
        self._leaving -= {event.id for event in events if isinstance(event, Finish)}

    def _append(self, tokens: list[tuple[Run, Tokens]]) -> None:
        entries = [(run.fence, replace(event, id=run.id)) for run, event in tokens]
        answers = self._link.reach(lambda: stream.append(self._link.client, entries))
        for (run, event), answer in zip(tokens, answers, strict=True):
            run.position = event.position
            # What comes after a token is news, whatever was told before it.
            run.phase = ""
            self._heed(run.key, answer)

    def _heed(self, key: str, answer: int) -> None:
        """What the log said to a write: 0 go on, 1 a stop is wanted, -1 somebody else has it."""
        run = self.runs.get(key)
        if run is None or answer == 0:
            return
        told = run.stopping or self._cancel(key)
        run.stopping = told
        if answer < 0:
            log.warning("Generation %s was taken over.", run.id)
            del self.runs[key]
            if told:
                self._leaving.add(key)
        elif not told:
            self.finish(Finish(key, "cancelled"))

    def finish(self, event: Finish) -> None:
        run = self.runs.get(event.id)
        if run is None:
            return
        end = replace(event, id=run.id)
        self._link.reach(lambda: stream.finish(self._link.client, run.fence, end))
        del self.runs[run.key]
        self.used = time.monotonic()

    def fail(self, error: dict[str, object]) -> None:
        """All that is held ends with this error."""
        for run in list(self.runs.values()):
            self.finish(Finish(run.key, "error", error=error))

    def _embed(self, event: Vector) -> None:
        run = self.runs.get(event.id)
        if run is None:
            return
        entry = replace(event, id=run.id)
        answer = self._link.reach(lambda: stream.vector(self._link.client, run.fence, entry))
        self._heed(run.key, answer)

    def tell(self, phase: str, fraction: float) -> None:
        """Progress that all have in common."""
        for run in list(self.runs.values()):
            self.report(Progress(run.key, phase, fraction))

    def report(self, progress: Progress) -> None:
        """Progress is for the eye: the same tenth is not told twice."""
        run = self.runs.get(progress.id)
        phase = f"{progress.phase}{progress.fraction:.1f}"
        if run is None or phase == run.phase:
            return
        run.phase = phase
        entry = replace(progress, id=run.id)
        answer = self._link.reach(lambda: stream.report(self._link.client, run.fence, entry))
        self._heed(run.key, answer)

    def renew(self, *, rung: bool) -> None:
        """Leases are kept, and stops are heard that no token's write could tell of."""
        due = time.monotonic() - self._renewed > self._lease_ms / 1000 / RENEWALS
        if not self.runs or not (due or rung):
            return
        self._renewed = time.monotonic()
        held = list(self.runs.values())
        claims = [(run.id, run.fence) for run in held]
        answers = self._link.reach(lambda: lease.renew(self._link.client, self._lease_ms, claims))
        for run, answer in zip(held, answers, strict=True):
            self._heed(run.key, answer)

    def forget(self) -> None:
        """The engine is gone: nothing keeps a slot in it any more."""
        self._leaving.clear()

    def keep_only(self, count: int) -> None:
        """Where the engine takes fewer than was planned, the others were never claimed."""
        for run in [run for run in self.runs.values() if not run.is_task][count:]:
            self._link.reach(partial(lease.put_back, self._link.client, run.id, run.fence))
            del self.runs[run.key]

    def give_back(self) -> None:
        """Everything waits again, at its old place."""
        for run in self.runs.values():
            self._link.reach(partial(lease.release, self._link.client, run.id, run.fence))
        self.runs.clear()

    def drop(self) -> None:
        """Give back as far as Redis takes it; the rest lapses."""
        try:
            for run in self.runs.values():
                lease.release(self._link.client, run.id, run.fence)
        except redis.RedisError:
            log.warning("Redis does not answer; the leases will lapse.")
        self.runs.clear()
