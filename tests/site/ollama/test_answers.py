"""Answers as Ollama tells them: whole tool calls, figures in nanoseconds, a last line with both."""

from __future__ import annotations

import time
from typing import Any

from chatsite.api.calls import Choice, Piece
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import CallDelta, End, Entry, Logprob
from chatsite.ollama.answers import Answer, ChatAnswer, RawAnswer, TextAnswer, call_of
from inference.contract import Finish

STATS = {
    "prompt_tokens": 9,
    "completion_tokens": 21,
    "first_token_ms": 500,
    "tokens_per_second": 10.0,
}


def end(reason: str = "stop", **stats: Any) -> End:
    return End(Finish("x", reason), {**STATS, "tokens_per_second": 10.0, **stats})


def answer(kind: type[Answer] = ChatAnswer, loading: float = 0.0) -> Answer:
    choice = Choice(0, Generation(), loading=loading)
    return kind(model="echo", choice=choice, began=time.monotonic() - 3)


def test_it_works() -> None:
    told = answer()
    (first,) = told.add(Piece(0, "Hel", "hm"))
    assert first["message"] == {"role": "assistant", "content": "Hel", "thinking": "hm"}
    assert first["done"] is False
    more, last = told.add(Piece(0, "lo", end=end()))
    assert more["message"]["content"] == "lo"
    assert (last["done"], last["done_reason"]) == (True, "stop")
    assert told.whole()["message"] == {"role": "assistant", "content": "Hello", "thinking": "hm"}
    assert last["created_at"].endswith("Z")


def test_figures_are_nanoseconds() -> None:
    (last,) = answer(loading=0.2).add(Piece(0, end=end("length")))
    assert last["done_reason"] == "length"
    assert (last["prompt_eval_count"], last["eval_count"]) == (9, 21)
    assert last["load_duration"] == 200_000_000
    assert last["prompt_eval_duration"] == 300_000_000
    assert last["eval_duration"] == 2_000_000_000
    assert 3_000_000_000 <= last["total_duration"] < 4_000_000_000


def test_nobody_divides_by_zero() -> None:
    empty = end(completion_tokens=0, tokens_per_second=None, first_token_ms=9000)
    (last,) = answer().add(Piece(0, end=empty))
    assert (last["eval_count"], last["eval_duration"]) == (0, 1)


def test_calls_are_told_whole() -> None:
    told = answer()
    assert told.add(Piece(0, calls=[CallDelta(0, "weather", '{"city": ')])) == []
    (first,) = told.add(Piece(0, calls=[CallDelta(0, "", '"Paris"}'), CallDelta(1, "time")]))
    (call,) = first["message"]["tool_calls"]
    assert call["function"] == {"index": 0, "name": "weather", "arguments": {"city": "Paris"}}
    second, last = told.add(Piece(0, end=end()))
    (call,) = second["message"]["tool_calls"]
    assert call["function"] == {"index": 1, "name": "time", "arguments": {}}
    assert "tool_calls" not in last["message"]


def test_all_calls_are_in_the_whole() -> None:
    told = answer()
    told.said.add(Piece(0, calls=[CallDelta(0, "a", "{}"), CallDelta(1, "b", "{}")], end=end()))
    names = [call["function"]["name"] for call in told.whole()["message"]["tool_calls"]]
    assert names == ["a", "b"]


def test_a_call_that_was_cut_off_is_none() -> None:
    told = answer()
    (last,) = told.add(Piece(0, calls=[CallDelta(0, "weather", '{"ci')], end=end("length")))
    assert "tool_calls" not in last["message"]
    assert last["done_reason"] == "length"


def test_plain_texts() -> None:
    told = answer(TextAnswer)
    told.said.add(Piece(0, "yes", "hm", end=end()))
    whole = told.whole()
    assert (whole["response"], whole["thinking"]) == ("yes", "hm")
    raw = answer(RawAnswer)
    raw.said.add(Piece(0, "yes", "hm", end=end()))
    assert raw.whole()["response"] == "hmyes"


def test_log_probabilities() -> None:
    best = Logprob(1, (72,), -0.1, (Logprob(1, (72,), -0.1), Logprob(2, (73,), -3.0)))
    (line,) = answer().add(Piece(0, "H", logprobs=[best]))
    (told,) = line["logprobs"]
    assert (told["token"], told["logprob"], told["bytes"]) == ("H", -0.1, [72])
    assert [each["token"] for each in told["top_logprobs"]] == ["H", "I"]


def test_the_time_of_loading_is_taken() -> None:
    choice = Choice(0, Generation())
    choice.read([Entry(0, phase="loading")])
    time.sleep(0.02)
    choice.read([Entry(0, phase="loading", fraction=0.5)])
    time.sleep(0.02)
    choice.read([Entry(1, tokens=(1,), text="a")])
    assert choice.loading >= 0.04
    took = choice.loading
    choice.read([Entry(2, tokens=(2,), text="b")])
    assert choice.loading == took


def test_arguments_without_end_are_no_call() -> None:
    looped = {"name": "now", "arguments": '{"zone": ' + "[" * 100_000}
    assert call_of(0, {"id": "call_1", "function": looped}) is None
