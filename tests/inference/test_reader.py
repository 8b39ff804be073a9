"""Streams of events into pieces of an answer, whatever is wrong with them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.contract import CallDelta
from inference.remote.reader import Piece, Reader, events, vectors
from inference.remote.troubles import Trouble


def chunk(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def read(*chunks: Any) -> tuple[Reader, list[Piece]]:
    reader = Reader("")
    lines = [b"data: " + json.dumps(each).encode() for each in chunks]
    spaced = [line for each in lines for line in (each, b"")]
    return reader, [piece for piece in reader.read(spaced) if piece != Piece()]


def test_it_works() -> None:
    reader, pieces = read(chunk(role="assistant", content=""), chunk(content="Hi"))
    assert [piece.text for piece in pieces] == ["Hi"]
    assert reader.pieces == 1


def test_events() -> None:
    lines = [b": hello", b"event: x", b"data: a", b"data:b", b"", b"", b"id: 1", b"data: c"]
    assert list(events(lines)) == [b"a\nb", b"c"]


def test_calls_without_numbers_begin_with_their_name() -> None:
    first = chunk(tool_calls=[{"function": {"name": "add", "arguments": '{"a"'}}])
    more = chunk(tool_calls=[{"function": {"arguments": ": 1}"}}])
    second = chunk(tool_calls=[{"function": {"name": "now", "arguments": {}}}])
    _reader, pieces = read(first, more, second)
    assert [call for piece in pieces for call in piece.calls] == [
        CallDelta(0, "add", '{"a"'),
        CallDelta(0, "", ": 1}"),
        CallDelta(1, "now", "{}"),
    ]


def test_content_in_parts_and_half_characters() -> None:
    _reader, pieces = read(chunk(content=[{"type": "text", "text": "a"}, {"text": "\ud83d"}]))
    assert pieces[0].text == "a?"


def test_numbers_that_are_none_are_left_out() -> None:
    told = {"content": [{"token": "a", "logprob": None}, {"token": "b", "logprob": -1}]}
    choice = {"delta": {"content": "ab"}, "logprobs": told}
    _reader, pieces = read({"choices": [choice]})
    assert [bytes(each.data) for each in pieces[0].logprobs] == [b"b"]


def test_a_completions_likelihoods() -> None:
    told = {
        "tokens": ["a", "b"],
        "token_logprobs": [-0.5, -1.5],
        "top_logprobs": [{"a": -0.5, "x": -2.0}, None],
    }
    _reader, pieces = read({"choices": [{"text": "ab", "logprobs": told}]})
    first, second = pieces[0].logprobs
    assert (bytes(first.data), first.logprob, len(first.top)) == (b"a", -0.5, 2)
    assert (bytes(second.data), second.top) == (b"b", ())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("choices", "delta", "message", "content", "tool_calls", "function", "name"),
                    *("arguments", "index", "logprobs", "top_logprobs", "usage", "error", "text"),
                    *("finish_reason", "reasoning", "tokens", "token_logprobs", "logprob", "bytes"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_rubbish_is_a_trouble_at_worst(data: Any) -> None:
    reader = Reader("")
    try:
        reader.take(data)
    except Trouble as trouble:
        assert trouble.kind  # noqa: PT017 - most of it is no trouble
    assert reader.stats(8)["prompt_tokens"] >= 0


@pytest.mark.parametrize(
    "data",
    [None, [], {}, {"data": [{"embedding": "x"}]}, {"data": [{"index": 3, "embedding": [1]}]}],
)
def test_vectors_that_are_none(data: Any) -> None:
    with pytest.raises(Trouble):
        vectors(data, 1)
