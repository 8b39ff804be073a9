"""How a live row grows by the entries of its log. In memory only: actions save and close it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chatsite.gateway import order
from chatsite.gateway.journal import News
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import CallDelta
from chatsite.gateway.packing import pack
from inference.stream import End, Entry


@dataclass(slots=True)
class Growth:
    """A live generation as it grows in memory between two saves."""

    row: Generation
    # Last entry that was read.
    cursor: bytes = b"0-0"
    changed: bool = False
    end: End | None = None

    def take(self, news: News) -> None:
        self.cursor = news.cursor
        for entry in news.entries:
            self._grow(entry)
        if news.fence > self.row.fence:
            # That it was claimed is kept at once: where the log is lost, an answer from elsewhere
            # is not asked for again.
            self.row.fence = news.fence
            self.changed = True

    def _grow(self, entry: Entry) -> None:
        row = self.row
        # A log that begins behind the row (it was met again, or put back) repeats what the row has.
        if entry.tokens is not None and entry.position > row.position:
            if entry.position == len(entry.tokens):
                # From the beginning, in one piece: another steward put it back and had more.
                _empty(row)
            row.tokens = bytes(row.tokens) + pack(entry.tokens)
            row.position = entry.position
            self._add(entry.text, entry.reasoning, entry.calls)
            if entry.runs:
                row.runs = order.read(entry.runs)
            if row.logprobs is not None:
                row.logprobs += [each.to_list() for each in entry.logprobs]
            self.changed = True
        elif entry.end is not None:
            finish = entry.end.finish
            self._add(finish.text, finish.reasoning, finish.calls)
            self.end = entry.end

    def _add(self, text: str, reasoning: str, calls: Sequence[CallDelta]) -> None:
        text, reasoning = plain(text), plain(reasoning)
        calls = [CallDelta(each.index, plain(each.name), plain(each.arguments)) for each in calls]
        self.row.text += text
        self.row.reasoning += reasoning
        join_calls(self.row.calls, calls)
        order.extend(self.row.runs, self.row.position, text, reasoning, calls)


def _empty(row: Generation) -> None:
    row.tokens, row.text, row.reasoning, row.calls, row.runs = b"", "", "", [], []
    if row.logprobs is not None:
        row.logprobs = []


def join_calls(calls: list[dict[str, Any]], deltas: Sequence[CallDelta]) -> None:
    """Add deltas to the whole calls, {"name", "arguments"} each, in the order of their index."""
    for delta in deltas:
        while len(calls) <= delta.index:
            calls.append({"name": "", "arguments": ""})
        calls[delta.index]["name"] += delta.name
        calls[delta.index]["arguments"] += delta.arguments


def plain(text: str) -> str:
    """Without null characters, which PostgreSQL refuses: the other answers would not be saved."""
    return text.replace("\x00", "")
