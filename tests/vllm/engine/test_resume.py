"""An answer that another process began goes on as if it had not been cut: what was bounded stays
bounded, and a form is never begun a second time."""

from __future__ import annotations

import json
from dataclasses import replace

from inference.contract import Message, Sampling, Shape
from tests.vllm.engine.driving import FRANCE, GREEDY, SEA, Driver

PERSON = Shape(
    "schema",
    json.dumps(
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "maxLength": 12},
                "age": {"type": "integer", "minimum": 0, "maximum": 99},
                "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
            },
            "required": ["name", "age", "tags"],
            "additionalProperties": False,
        }
    ),
)
ASK = (Message("user", "Give me a person as JSON."),)
SAY = (Message("user", "Repeat the word sea one hundred times."),)


def test_it_works(tiny: Driver) -> None:
    whole = tiny.ask()
    for cut in (1, 9, 23):
        rest = tiny.ask(tokens=whole.tokens[:cut])
        assert whole.tokens[:cut] + rest.tokens == whole.tokens
        assert rest.end.reason == whole.end.reason


def test_what_was_done_counts_for_its_bounds(tiny: Driver) -> None:
    whole = tiny.ask(messages=FRANCE)
    # All of it was there: only the end is missing.
    rest = tiny.ask(messages=FRANCE, tokens=whole.tokens)
    assert (rest.tokens, rest.end.reason) == ([], "stop")
    full = tiny.ask(replace(GREEDY, max_tokens=5), tokens=whole.tokens[:5])
    assert (full.tokens, full.end.reason) == ([], "length")
    least = replace(GREEDY, min_tokens=20, max_tokens=40)
    rest = tiny.ask(least, FRANCE, whole.tokens)
    assert len(whole.tokens) + len(rest.tokens) >= 20
    stopped = tiny.ask(replace(GREEDY, stop=(" Paris",)), FRANCE, whole.tokens)
    assert (stopped.tokens, stopped.end.reason) == ([], "stop")


def test_a_form_goes_on_where_it_was(tiny: Driver) -> None:
    long = replace(GREEDY, max_tokens=120)
    whole = tiny.ask(long, ASK, shape=PERSON)
    json.loads(whole.text)
    spell = tiny.engine.vocab.piece
    cuts = range(1, len(whole.tokens) + 1, 3)
    jobs = [tiny.job(long, ASK, whole.tokens[:cut], shape=PERSON) for cut in cuts]
    for cut, rest in zip(cuts, tiny.run(*jobs), strict=True):
        text = b"".join(map(spell, whole.tokens[:cut] + rest.tokens)).decode()
        assert json.loads(text).keys() == {"name", "age", "tags"}
        assert rest.end.reason == "stop"


def test_a_form_that_cannot_go_on_ends_the_answer(tiny: Driver) -> None:
    wrong = tiny.engine.vocab.tokenize("Once upon a time")
    said = tiny.ask(replace(GREEDY, max_tokens=40), ASK, wrong, shape=PERSON)
    assert (said.tokens, said.kind) == ([], "answer_interrupted")
    assert tiny.ask(messages=FRANCE).text == "The capital of France is Paris."


def test_penalties_remember_what_was_said(tiny: Driver) -> None:
    long = replace(GREEDY, max_tokens=40)
    for penal in (
        replace(long, presence_penalty=1.5),
        replace(long, frequency_penalty=1.2),
        replace(long, repetition_penalty=1.4),
    ):
        whole = tiny.ask(penal, SAY)
        rest = tiny.ask(penal, SAY, whole.tokens[:20])
        assert whole.tokens[:20] + rest.tokens == whole.tokens, penal
    both = replace(
        GREEDY, max_tokens=40, presence_penalty=0.7, frequency_penalty=0.6, repetition_penalty=1.2
    )
    whole = tiny.ask(both, SAY)
    assert whole.tokens[:20] + tiny.ask(both, SAY, whole.tokens[:20]).tokens == whole.tokens


def test_draws_of_what_goes_on_are_others_and_the_same_each_time(tiny: Driver) -> None:
    hot = Sampling(temperature=1.0, seed=5, max_tokens=30)
    whole = tiny.ask(hot)
    one, two = (tiny.ask(hot, tokens=whole.tokens[:10]) for _ in range(2))
    assert one.tokens == two.tokens
    assert len(one.tokens) <= 20
    # With the first draws once more, an answer would begin to repeat itself.
    assert one.tokens[:10] != whole.tokens[:10]


def test_cut_within_a_character(tiny: Driver) -> None:
    """The bytes of a character that is cut come out whole, once."""
    tokens = tiny.engine.vocab.tokenize("世界")
    assert len(tokens) > 2
    told = tiny.ask(replace(GREEDY, max_tokens=len(tokens) + 1), SEA, tokens[:1])
    assert told.end.error is None
