"""In which order an answer's reasoning, text and calls came. A row keeps each of them whole, and of
the order only this: runs of [lane, characters, tokens]. It knows no event and no shape of an API.

What it makes of a log depends on the log's entries alone, so all its readers make the same of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from chatsite.gateway.nouns import CallDelta

# Lanes; the others are calls, by their index.
REASONING, TEXT = -2, -1
Runs = list[list[int]]


def parts(
    last: int | None, text: str, reasoning: str, calls: Sequence[CallDelta]
) -> list[tuple[int, str]]:
    """What one entry says, (lane, words) each. An entry has no order of its own: what goes on with
    the last lane comes first, then reasoning, text and calls."""
    said = [(REASONING, reasoning), (TEXT, text)]
    found = [part for part in said if part[1]] + [(call.index, call.arguments) for call in calls]
    return sorted(found, key=lambda part: part[0] != last)


def extend(
    runs: Runs, position: int, text: str, reasoning: str, calls: Sequence[CallDelta]
) -> list[tuple[int, str]]:
    """Add an entry after which there are `position` tokens; its parts in their order."""
    found = parts(runs[-1][0] if runs else None, text, reasoning, calls)
    for lane, words in found:
        if not runs or runs[-1][0] != lane:
            runs.append([lane, 0, 0])
        runs[-1][1] += len(words)
    if runs:
        # Marks and what is held back count for what they stand in or before.
        runs[-1][2] += position - sum(run[2] for run in runs)
    return found


def unroll(
    runs: Sequence[Sequence[int]], text: str, reasoning: str, calls: Sequence[str]
) -> Iterator[tuple[int, str]]:
    """The parts of a whole answer in their order; `calls` are the arguments of each."""
    words = {REASONING: reasoning, TEXT: text, **dict(enumerate(calls))}
    places = dict.fromkeys(words, 0)
    for lane, length, _tokens in runs:
        begin = places[lane]
        places[lane] += length
        yield lane, words[lane][begin : places[lane]]


def tokens(runs: Sequence[Sequence[int]], lane: int) -> int:
    """How many tokens this lane took."""
    return sum(run[2] for run in runs if run[0] == lane)


def read(data: Any) -> Runs:
    """Runs as they come out of JSON."""
    return [[int(number) for number in run] for run in data]
