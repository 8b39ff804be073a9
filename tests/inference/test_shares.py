"""What a step computes of whom: prompts and long conversations cost those who write short ones as
little as may be, and the answers stay what they are alone."""

from __future__ import annotations

import pytest

from inference.contract import Message, Sampling
from inference.engines.llamacpp.engine import LlamaCppEngine
from tests.inference.weights import GREEDY, job, load, run

# Longer than the long prompt is read.
LASTING = Sampling(temperature=0, max_tokens=200, ignore_eos=True)
LONG = Message("user", "Tell me of the sea and of ships. " * 30)
SHORT = [Message("user", f"Name {what}.") for what in ("a fish", "two birds", "a tree")]


@pytest.fixture
def engine() -> LlamaCppEngine:
    return load(slots=4, context_length=512)


def passes(engine: LlamaCppEngine) -> list[list[str]]:
    shares = engine._shares.next()
    return [[sequence.id for sequence in group] for group in engine._shares.passes(shares)]


def begin(engine: LlamaCppEngine) -> None:
    engine.add(job("long", LASTING, messages=[LONG], user="long"))
    for number, message in enumerate(SHORT):
        engine.add(job(f"short-{number}", LASTING, messages=[message], user=f"short-{number}"))
    engine._settle()
    engine.seats.arrange()


def test_prompts_are_read_in_a_pass_of_their_own(engine: LlamaCppEngine) -> None:
    begin(engine)
    while not any(sequence.pending == 1 for sequence in engine.seats):
        engine.step()
    # A newcomer's step is his alone; in all others the writers have their pass.
    while len(passes(engine)[0]) < 3:
        engine.step()
    short, long, readers = passes(engine)
    assert (set(short), long) == ({"short-0", "short-1", "short-2"}, [])
    assert readers in (["long"], [])


def test_a_long_conversation_is_apart_where_that_costs_less(
    engine: LlamaCppEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the weights were small by what is kept of a token.
    begin(engine)
    while not all(sequence.pending == 1 for sequence in engine.seats):
        engine.step()
    together = passes(engine)
    monkeypatch.setattr(engine.model, "reach", 50)
    short, long, readers = passes(engine)
    assert (len(together[0]), together[1:]) == (4, [[], []])
    assert (set(short), long, readers) == ({"short-0", "short-1", "short-2"}, ["long"], [])


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
