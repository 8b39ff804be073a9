"""Text out of bytes: the same however they are cut, and restored by feeding them again."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.parse import Writer

ANSWERS = [
    ("Hello, 你好 🙂!", ("Hello, 你好 🙂!", "")),
    ("<think>\nWhy? 因为</think>\n\nSo 🙂", ("So 🙂", "Why? 因为")),
    ("  <think>x</think>y", ("y", "x")),
    ("<think>never closed", ("", "never closed")),
    ("<think>a</thin", ("", "a</thin")),
    ("<thin", ("<thin", "")),
    ("a <think>b</think>", ("a <think>b</think>", "")),
    ("<think></think>x<think>y</think>", ("x<think>y</think>", "")),
    ("", ("", "")),
]


def write(pieces: list[bytes], *, inside: bool = False) -> tuple[str, str]:
    writer = Writer(inside=inside)
    parts = [writer.feed(piece) for piece in pieces] + [writer.flush()]
    return "".join(text for text, _ in parts), "".join(reasoning for _, reasoning in parts)


@pytest.mark.parametrize(("raw", "expected"), ANSWERS)
def test_it_works_however_it_is_cut(raw: str, expected: tuple[str, str]) -> None:
    data = raw.encode()
    assert write([data]) == expected
    assert write([data[n : n + 1] for n in range(len(data))]) == expected
    for cut in range(len(data)):
        assert write([data[:cut], data[cut:]]) == expected


@given(st.text(alphabet="<>/think a你🙂\n", max_size=40), st.lists(st.integers(0, 60), max_size=5))
def test_any_cut_gives_the_same(raw: str, cuts: list[int]) -> None:
    data = raw.encode()
    at = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(at)]
    assert write(pieces) == write([data])


def test_an_incomplete_character_waits() -> None:
    writer = Writer()
    first, rest = "é".encode()[:1], "é".encode()[1:]
    assert writer.feed(b"a" + first) == ("a", "")
    assert writer.feed(rest) == ("é", "")
    assert writer.feed(first) == ("", "")
    assert writer.flush() == ("", "")


def test_a_template_that_opens_the_reasoning_itself() -> None:
    assert write([b"because</th", b"ink>\nso"], inside=True) == ("so", "because")


def test_feeding_the_logged_tokens_restores_the_state() -> None:
    data = ANSWERS[1][0].encode()
    for cut in range(len(data)):
        before, resumed = Writer(), Writer()
        for writer in (before, resumed):
            for n in range(cut):
                writer.feed(data[n : n + 1])
        assert resumed.feed(data[cut:]) == before.feed(data[cut:])
        assert resumed.flush() == before.flush()
