"""The scheduler under random arrivals, stops and lengths: nothing is lost, mixed up or left
behind."""

from __future__ import annotations

import random

import pytest

from inference.contract import Event, Finish, Job, Message, Sampling, Tokens
from inference.engines.llamacpp.engine import LlamaCppEngine
from tests.inference.weights import job, load, run, told
from tests.running.reference import Reference

# Logits that are closer than this may change places with the order of the cells.
TIE = 0.2
TOPICS = ("the sea", "a ship", "the moon", "an old tree", "rain")


def plan(chance: random.Random, count: int) -> list[Job]:
    return [
        job(
            f"{n}",
            Sampling(
                temperature=chance.choice([0, 0.9]),
                seed=chance.randrange(1, 5),
                max_tokens=chance.choice([1, 3, 9, 20]),
                ignore_eos=True,
            ),
            messages=[
                Message("user", f"Tell me about {chance.choice(TOPICS)}." * chance.choice([1, 9]))
            ],
            user=chance.choice(["alice", "bob", "carol"]),
        )
        for n in range(count)
    ]


def check(engine: LlamaCppEngine) -> None:
    """What holds between any two steps."""
    slots = [sequence.slot for sequence in engine.seats]
    assert len(set(slots)) == len(slots)
    for sequence in engine.seats:
        assert sequence.slot is not None
        assert engine.model.used(sequence.slot) == sequence.cached
        assert sequence.pending >= 1
    seated, queued = {s.id for s in engine.seats}, {s.id for s in engine.seats.queue}
    assert not seated & queued
    free = set(range(engine.model.slots)) - {slot for slot in slots if slot is not None}
    assert all(engine.model.used(slot) == 0 for slot in free)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    return Reference(tmp_path_factory.mktemp("reference"), shared_cells=400)


@pytest.mark.parametrize("cells", [0, 400], ids=["own", "shared"])
@pytest.mark.parametrize("seed", [1, 2])
def test_it_works(seed: int, cells: int, reference: Reference) -> None:
    chance = random.Random(seed)
    engine = load(slots=3, context_length=256, shared_cells=cells, shelf_bytes=8 << 20)
    jobs = plan(chance, 10)
    alone = {each.request.id: run(engine, each)[each.request.id][0] for each in jobs}
    waiting, stopped = list(jobs), set()
    heard: dict[str, list[Event]] = {each.request.id: [] for each in jobs}
    while waiting or engine.busy():
        while waiting and len(engine._sequences) < 6 and chance.random() < 0.5:
            engine.add(waiting.pop(0))
        if engine._sequences and chance.random() < 0.03:
            stopped.add(chance.choice(list(engine._sequences)))
            engine.cancel(max(stopped))
        for event in engine.step():
            heard[event.id].append(event)
        check(engine)
    for each in jobs:
        id = each.request.id
        tokens, _, end = told(each, heard[id])
        assert end.reason == "length" or id in stopped
        # In shared cells attention adds up in another order: there near ties may fall otherwise.
        if tokens != alone[id][: len(tokens)]:
            assert cells
            assert reference.difference(each.request, alone[id], tokens).distance < TIE
    assert engine.stats()["cells_used"] == 0
    assert not engine.seats.queue


def test_a_crash_in_the_middle_goes_on_from_the_log() -> None:
    """Another process gets the jobs with the tokens that were logged."""
    chance = random.Random(5)
    jobs = plan(chance, 6)
    first, second = load(slots=3, context_length=256), load(slots=3, context_length=256)
    alone = {each.request.id: run(second, each)[each.request.id][0] for each in jobs}
    logged: dict[str, list[int]] = {each.request.id: [] for each in jobs}
    ended: set[str] = set()
    for each in jobs:
        first.add(each)
    for _ in range(12):
        for event in first.step():
            if isinstance(event, Tokens):
                logged[event.id] += event.tokens
            ended |= {event.id} if isinstance(event, Finish) else set()
    left = [each for each in jobs if each.request.id not in ended]
    assert left
    results = run(second, *(Job(each.request, tuple(logged[each.request.id])) for each in left))
    for each in left:
        id = each.request.id
        assert logged[id] + results[id][0] == alone[id]
