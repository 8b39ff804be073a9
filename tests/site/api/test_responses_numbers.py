"""An event's number means the same event, whoever reads: live and in whatever pieces, from a log
that was put back, from a log that has ended, or from the row. No broker is needed to show it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from chatsite.api.responses.events import Events
from chatsite.api.responses.frame import Frame
from chatsite.api.responses.told import Told
from chatsite.gateway import replay
from chatsite.gateway.growth import Growth
from chatsite.gateway.journal import News
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import CallDelta, End, Entry, Logprob
from inference.contract import Finish

ASKED = {
    "background": True, "model": "echo", "metadata": {}, "parallel_tool_calls": True,
    "tool_choice": "auto", "tools": [], "temperature": 1.0, "top_p": 1.0,
}  # fmt: skip
KINDS: Any = ResponseStreamEvent
OFFICIAL: TypeAdapter[Any] = TypeAdapter(KINDS)
WORDS = st.text("ab é你🙂\n\x00", max_size=9)
# What one step says: more of one thing, seldom of two.
STEPS = st.sampled_from(["text", "text", "text", "reasoning", "call", "new call", "both", "marks"])


@st.composite
def logs(draw: st.DrawFn) -> list[Entry]:
    """The token entries of a generation and its end."""
    entries, position, calls = [], 0, -1
    for step in draw(st.lists(STEPS, max_size=14)):
        count = draw(st.integers(1, 3))
        position += count
        said: dict[str, Any] = {}
        if step in {"text", "both"}:
            said["text"] = draw(WORDS)
        if step in {"reasoning", "both"}:
            said["reasoning"] = draw(WORDS)
        if step == "new call" or (step == "call" and calls < 0):
            calls += 1
            said["calls"] = (CallDelta(calls, "now"),)
        elif step == "call":
            said["calls"] = (CallDelta(calls, "", draw(WORDS)),)
        spelled = said.get("reasoning", "").encode() + said.get("text", "").encode()
        entries.append(
            Entry(position, tokens=tuple(range(count)), logprobs=shared(spelled, count), **said)
        )
    return [*entries, ended(position, draw)]


def shared(spelled: bytes, count: int) -> tuple[Logprob, ...]:
    """The bytes among the tokens of an entry."""
    parts = [spelled[at::count] for at in range(count)]
    return tuple(Logprob(7, tuple(part), -0.5, (Logprob(8, tuple(part), -1.0),)) for part in parts)


def ended(position: int, draw: st.DrawFn) -> Entry:
    reason = draw(st.sampled_from(["stop", "length", "cancelled", "error"]))
    error = {"kind": "engine_lost"} if reason == "error" else None
    # What was held back is of tokens.
    held = draw(WORDS) if position else ""
    finish = Finish("x", reason, text=held, error=error)
    stats = {"prompt_tokens": 3, "cached_tokens": 1, "completion_tokens": position}
    return Entry(position, end=End(finish, stats))


FRAME = Frame("0" * 32, 1, ASKED, with_logprobs=True)


def told(pieces: Sequence[Sequence[Entry]], after: int = -1) -> list[dict[str, Any]]:
    """What a reader gets to whom the log comes in these pieces."""
    events = Events(FRAME, after)
    found = events.take()
    reader = Told(0, Generation(), events=events)
    for piece in pieces:
        reader.read(piece)
        # As it is sent: nothing that comes later may change it.
        found += json.loads(json.dumps(events.take()))
    assert reader.ended
    assert not reader.torn
    return found


def grown(entries: Sequence[Entry]) -> Generation:
    """The row that the steward makes of it."""
    growth = Growth(Generation(logprobs=[]))
    growth.take(News(list(entries), b"", 1, None))
    row = growth.row
    if growth.end:
        row.status, row.finish_reason = "done", growth.end.finish.reason
        row.error, row.stats = growth.end.finish.error, growth.end.stats
    # As the database has it.
    row.runs, row.calls = json.loads(json.dumps([row.runs, row.calls]))
    return row


def cut(entries: Sequence[Entry], places: Sequence[int]) -> list[Sequence[Entry]]:
    borders = [0, *sorted(place % (len(entries) + 1) for place in places), len(entries)]
    return [entries[a:b] for a, b in itertools.pairwise(borders)]


def test_it_works() -> None:
    words = Entry(2, tokens=(1, 2), text="Hello, Bob")
    end = Entry(2, end=End(Finish("x", "stop"), {"prompt_tokens": 1, "completion_tokens": 2}))
    events = told([[words], [end]])
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    names = [event["type"].removeprefix("response.") for event in events]
    assert names[:5] == [
        *("created", "queued", "in_progress", "output_item.added", "content_part.added"),
    ]
    assert names[-4:] == [
        *("output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    assert [event["delta"] for event in events if "delta" in event] == ["H", "ell", "o, ", "Bob"]


@settings(max_examples=300, deadline=None)
@given(logs(), st.lists(st.integers(0, 99), max_size=5))
def test_the_same_live_and_from_the_row(entries: list[Entry], places: list[int]) -> None:
    whole = told([entries])
    assert told(cut(entries, places)) == whole
    assert told([replay.entries(grown(entries))]) == whole
    for event in whole:
        OFFICIAL.validate_python(event, strict=True)


@settings(max_examples=200, deadline=None)
@given(logs(), st.integers(0, 99), st.lists(st.integers(0, 99), max_size=3))
def test_the_same_from_any_number_on(entries: list[Entry], n: int, places: list[int]) -> None:
    whole = told([entries])
    after = n % (len(whole) + 2) - 1
    assert told(cut(entries, places), after) == whole[after + 1 :]
    assert told([replay.entries(grown(entries))], after) == whole[after + 1 :]


@settings(max_examples=300, deadline=None)
@given(logs(), st.integers(0, 99), st.integers(0, 99))
def test_the_same_from_a_log_that_was_put_back(entries: list[Entry], kept: int, read: int) -> None:
    """Redis lost it: the row had `kept` of its entries, a reader `read`."""
    kept, read = kept % len(entries), read % len(entries)
    back = [*replay.written(grown(entries[:kept])), *entries[kept:]]
    assert told([back]) == told([entries])
    assert told([entries[:read], back]) == told([entries])
    # The row of a steward that met the log that was put back.
    assert told([replay.entries(grown(back))]) == told([entries])


@given(logs(), st.integers(1, 99))
def test_a_log_that_goes_on_in_other_pieces_is_read_again(entries: list[Entry], read: int) -> None:
    """What was said is told once, by the same events, however the steps are joined now."""
    entries = [only_text(entry) for entry in entries]
    whole = told([entries])
    steps, end = entries[:-1], entries[-1]
    first = steps[: read % (len(steps) + 1)]
    joined = [
        replace(
            pair[-1],
            tokens=tuple(token for each in pair for token in each.tokens or ()),
            text="".join(each.text for each in pair),
            logprobs=tuple(token for each in pair for token in each.logprobs),
        )
        for pair in (steps[at : at + 2] for at in range(0, len(steps), 2))
    ]
    events = Events(FRAME)
    reader = Told(0, Generation(), events=events)
    reader.read(first)
    reader.read([*joined, end])
    if reader.torn:
        reader = Told(0, Generation(), events=events)
        reader.read([*joined, end])
    assert events.take() == whole


def only_text(entry: Entry) -> Entry:
    return replace(entry, reasoning="", calls=())
