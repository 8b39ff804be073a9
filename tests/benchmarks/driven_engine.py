"""The engine without site, worker and pipe: this process makes its steps and takes the time."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from inference.contract import Event, Finish, Job, Message, ModelSpec, Request, Sampling, Tokens
from inference.engines.base import Engine, Setup
from inference.engines.llamacpp.engine import LlamaCppEngine
from inference.engines.registry import make
from tests.benchmarks.measuring import spec

GREEDY = Sampling(temperature=0, ignore_eos=True)
SEEDED = Sampling(temperature=0.8, top_k=40, top_p=0.95, min_p=0, seed=7, ignore_eos=True)
# Tokens that each sequence has written before anything is measured.
WARM = 4
# Steps in which something must have happened: more is a bug, not a slow machine.
PATIENCE = 20_000


class DrivenEngine:
    """llama.cpp's engine, loaded; sequences begin together and are cancelled together."""

    def __init__(self, *, slots: int, context_length: int, threads: int) -> None:
        """`threads` 0: the engine chooses and goes on choosing."""
        settings = {"slots": slots, "context_length": context_length}
        self.spec: ModelSpec = spec(settings | ({"threads": threads} if threads else {}))
        self.engine: Engine = make("llamacpp")
        setup = Setup(slots=slots, context_length=context_length, threads=threads)
        self.info = self.engine.load(self.spec, setup, lambda _: None)
        self._ids = itertools.count()
        self._running: set[str] = set()

    def begin(self, texts: Sequence[str], sampling: Sampling) -> list[str]:
        """Start one answer per text and step until all of them write."""
        ids = [self.add(text, sampling) for text in texts]
        written = dict.fromkeys(ids, 0)
        for _ in range(PATIENCE):
            for event in self.step():
                if isinstance(event, Tokens) and event.id in written:
                    written[event.id] += len(event.tokens)
            if min(written.values()) >= WARM:
                return ids
        raise AssertionError("The answers do not begin.")

    def computed(self) -> list[list[int]]:
        """Prompt and answer of every sequence, without the token that is computed next."""
        assert isinstance(self.engine, LlamaCppEngine)
        return [sequence.tokens[:-1] for sequence in self.engine.seats]

    def add(self, text: str, sampling: Sampling, user: str = "") -> str:
        id = f"bench-{next(self._ids)}"
        messages = (Message("user", text),)
        request = Request(id, user or id, self.spec, messages, sampling)
        self.engine.add(Job(request))
        self._running.add(id)
        return id

    def step(self) -> list[Event]:
        events = self.engine.step()
        ended = {event.id: event for event in events if isinstance(event, Finish)}
        for event in ended.values():
            assert event.error is None, event.error
        self._running -= ended.keys()
        return events

    def decode(self, steps: int) -> float:
        """Tokens per second over so many steps."""
        start, count = time.perf_counter(), 0
        for _ in range(steps):
            count += tokens(self.step())
        return count / (time.perf_counter() - start)

    def end(self) -> None:
        """Cancel what runs and step until the engine has nothing to do."""
        self.cancel(*self._running)

    def cancel(self, *ids: str) -> None:
        """Cancel these and step until they have ended."""
        for id in ids:
            self.engine.cancel(id)
        for _ in range(PATIENCE):
            if self._running.isdisjoint(ids):
                return
            self.step()
        raise AssertionError("The answers do not end.")


def tokens(events: Sequence[Event]) -> int:
    return sum(len(event.tokens) for event in events if isinstance(event, Tokens))
