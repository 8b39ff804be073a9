"""What a step computes of whom: prompts and long conversations cost those who write short ones as
little as may be, and the answers stay what they are alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from inference.contract import Message
from inference.engines.llamacpp.engine import LlamaCppEngine
from inference.engines.llamacpp.model import Rows
from inference.engines.llamacpp.shares import _slice
from tests.inference.weights import GREEDY, job, load, run

LONG = Message("user", "Tell me of the sea and of ships. " * 30)
SHORT = [Message("user", f"Name {what}.") for what in ("a fish", "two birds", "a tree")]
IDS = [f"short-{number}" for number in range(len(SHORT))]


@pytest.fixture
def engine() -> LlamaCppEngine:
    return load(slots=4, context_length=512)


def passes(engine: LlamaCppEngine, *writing: str) -> list[list[str]]:
    """Who is computed with whom when these have read their prompts."""
    engine.add(job("long", GREEDY, messages=[LONG], user="long"))
    for number, message in enumerate(SHORT):
        engine.add(job(f"short-{number}", GREEDY, messages=[message], user=f"short-{number}"))
    engine._settle()
    engine.seats.arrange()
    for sequence in engine.seats:
        if sequence.id in writing:
            sequence.cached = len(sequence.tokens) - 1
    return following(engine)


def following(engine: LlamaCppEngine) -> list[list[str]]:
    """Who is computed with whom in the next step."""
    shares = engine._shares.next()
    return [[sequence.id for sequence in group] for group in engine._shares.passes(shares)]


def test_prompts_are_read_in_a_step_of_their_own(engine: LlamaCppEngine) -> None:
    assert passes(engine, *IDS) == [IDS]
    assert following(engine) == [["long"]]
    assert following(engine) == [IDS]


def test_whoever_comes_waits_for_one_pass_alone() -> None:
    engine = load(slots=5, context_length=512)
    engine._pace.read(100, 0.4)
    assert passes(engine, *IDS) == [IDS]
    engine.add(job("new", GREEDY, messages=SHORT[:1], user="new"))
    engine._settle()
    engine.seats.arrange()
    assert following(engine) == [["new"]]
    engine.cancel("new")
    engine._settle()
    # What those who write bear is not forgotten meanwhile.
    assert following(engine) == [["long"]]


def test_a_long_conversation_is_apart_where_that_costs_less(
    engine: LlamaCppEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the weights were small by what is kept of a token.
    monkeypatch.setattr(engine.model, "reach", 50)
    assert passes(engine, "long", *IDS) == [IDS, ["long"]]


def test_else_all_who_write_are_computed_together(engine: LlamaCppEngine) -> None:
    assert passes(engine, "long", *IDS) == [["long", *IDS]]


def test_the_answers_are_what_they_are_alone(
    engine: LlamaCppEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = {"long": LONG, **{f"short-{n}": message for n, message in enumerate(SHORT)}}
    alone = {
        id: run(engine, job(id, GREEDY, messages=[message]))[id][0]
        for id, message in messages.items()
    }
    monkeypatch.setattr(engine.model, "reach", 50)
    jobs = [job(id, GREEDY, messages=[m], user=id) for id, m in messages.items()]
    together = run(engine, *jobs)
    assert {id: answer[0] for id, answer in together.items()} == alone


def test_no_token_of_a_prompt_is_computed_alone(
    engine: LlamaCppEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp computes as many of each sequence at once as the shortest has, then of the rest."""
    alone: list[int] = []
    read: Counter[int] = Counter()
    decode = engine.model.decode

    def watched(rows: Rows) -> Any:
        ends = {each.slot: len(each.prompt.tokens) for each in engine.seats}
        places = zip(rows.slots, rows.positions, strict=True)
        written = {slot for slot, place in places if place >= ends[slot]}
        left = Counter(rows.slots)
        read.update(left)
        while left:
            shortest = min(left.values())
            alone.extend(slot for slot in left if shortest == 1 and slot not in written)
            left = Counter({slot: n - shortest for slot, n in left.items() if n > shortest})
        return decode(rows)

    monkeypatch.setattr(engine.model, "decode", watched)
    few = replace(GREEDY, max_tokens=4)
    for size in range(40, 60):
        for number in range(3):
            message = Message("user", f"{size} " + "sea " * (size + number))
            engine.add(job(f"{size}-{number}", few, messages=[message], user=f"user{number}"))
        while engine.busy():
            engine.step()
    assert sum(read.values()) > 3000
    assert not alone


@pytest.mark.parametrize("others", [[], [7], [6, 9]])
@pytest.mark.parametrize("room", range(1, 12))
@pytest.mark.parametrize("left", range(2, 14))
def test_a_slice_leaves_none_over(left: int, room: int, others: list[int]) -> None:
    share = _slice(left, room, others)
    assert share <= min(left, room)
    assert share != 1
    assert left - share != 1 or not share
    assert all(abs(share - each) != 1 for each in others) or not share
    # Whoever is first in the row goes on wherever there is room for three.
    assert share or others or room < 3


def test_a_stall_slows_no_prompt_for_good(engine: LlamaCppEngine) -> None:
    endless = replace(GREEDY, max_tokens=None, ignore_eos=True)
    engine.add(job("short", endless, messages=SHORT[:1], user="short"))
    while not engine._sequences or engine._sequences["short"].position < 3:
        engine.step()
    # As if another program had taken the machine for a while.
    engine._pace.read(1, 3.0)
    engine.add(job("long", endless, messages=[LONG], user="long"))
    for _ in range(100):
        engine.step()
        if engine._shares._owed > 1:
            return
    pytest.fail("Each step still reads a single token.")


def test_quick_questions_keep_no_long_prompt_waiting(engine: LlamaCppEngine) -> None:
    engine._pace.read(100, 0.4)
    engine.add(job("long", GREEDY, messages=[LONG], user="long"))
    single = replace(GREEDY, max_tokens=1)
    for number in range(40):
        message = Message("user", f"{number} {number + 1}: which of them is even?")
        engine.add(job(f"quick-{number}", single, messages=[message], user="quick"))
    for _ in range(30):
        engine.step()
    assert engine._sequences["long"].cached > engine._sequences["long"].prompt.published
