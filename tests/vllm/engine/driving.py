"""How tests load the small real model into vLLM, ask it and hear it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.contract import Finish, Job, Logprob, Message, ModelSpec, Request, Sampling, Tokens
from inference.engines.base import Setup
from inference.engines.vllm.engine import VllmEngine

# Seconds that all jobs of a test may take together.
PATIENCE = 240.0
CONTEXT, SLOTS = 1024, 16
# Exact: what is resumed can be compared token by token. A step is short: some prompts take several.
STEP = 256
SETTINGS = {"dtype": "float32", "max_num_batched_tokens": STEP}
SETUP = Setup(slots=SLOTS, context_length=CONTEXT, kv_bytes=1 << 30)
GREEDY = Sampling(temperature=0, max_tokens=24)
SEA = (Message("user", "Tell me about the sea."),)
FRANCE = (Message("user", "What is the capital of France?"),)


@dataclass(frozen=True, slots=True)
class Told:
    """What the events of one job say, taken together."""

    tokens: list[int]
    text: str
    end: Finish
    logprobs: list[Logprob]
    positions: list[int]

    @property
    def kind(self) -> str:
        return str((self.end.error or {}).get("kind", ""))


class Driver:
    """An engine that is loaded."""

    def __init__(self, engine: VllmEngine, spec: ModelSpec) -> None:
        self.engine, self.spec = engine, spec
        self._count = 0

    def job(
        self,
        sampling: Sampling = GREEDY,
        messages: Sequence[Message] = SEA,
        tokens: Sequence[int] = (),
        user: str = "bob",
        **fields: Any,
    ) -> Job:
        self._count += 1
        id = f"job{self._count}"
        request = Request(id, user, self.spec, tuple(messages), sampling, **fields)
        return Job(request, tuple(tokens))

    def ask(self, *args: Any, **fields: Any) -> Told:
        """One job, alone, to its end."""
        return self.run(self.job(*args, **fields))[0]

    def run(self, *jobs: Job) -> list[Told]:
        """All jobs together, to their ends."""
        for each in jobs:
            self.engine.add(each)
        events = self.hear()
        return [
            told(job, [event for event in events if event.id == job.request.id]) for job in jobs
        ]

    def hear(self, enough: int | None = None) -> list[Any]:
        """What the engine says until it is idle, or has said so many pieces of text."""
        events: list[Any] = []
        until = time.monotonic() + PATIENCE
        while self.engine.busy():
            assert time.monotonic() < until, "the engine does not come to an end"
            events += self.engine.step()
            if enough is not None and sum(isinstance(e, Tokens) for e in events) >= enough:
                break
        return events


def told(job: Job, events: list[Any]) -> Told:
    pieces = [event for event in events if isinstance(event, Tokens)]
    (end,) = [event for event in events if isinstance(event, Finish)]
    assert events[-1] is end
    position = len(job.tokens)
    for event in pieces:
        position += len(event.tokens)
        assert event.position == position
    return Told(
        [token for event in pieces for token in event.tokens],
        "".join(event.text for event in pieces) + end.text,
        end,
        [each for event in pieces for each in event.logprobs],
        [event.position for event in pieces],
    )


def load(path: Path, setup: Setup = SETUP, **settings: Any) -> Driver:
    spec = ModelSpec("tiny", "vllm", {"path": str(path)}, SETTINGS | settings)
    engine = VllmEngine()
    fractions: list[float] = []
    info = engine.load(spec, setup, fractions.append)
    assert fractions == sorted(fractions) or max(fractions) <= 1
    assert (info.slots, info.context_length) == (setup.slots, setup.context_length)
    return Driver(engine, spec)
