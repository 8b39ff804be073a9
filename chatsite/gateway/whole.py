"""A log added up to one entry, for a reader whose position lies within one of its entries: what is
before that position cannot be cut off. It reads nothing itself."""

from __future__ import annotations

from collections.abc import Sequence

from chatsite.gateway import order
from chatsite.gateway.nouns import Entry


def splits(entries: Sequence[Entry], position: int) -> bool:
    """Whether the first tokens behind this position came together with some before it. Where a log
    was put back and went on, it does so in other steps than before."""
    for entry in entries:
        if entry.tokens is not None and entry.position > position:
            # One that has everything from the beginning is what `added_up` makes.
            return 0 < entry.position - len(entry.tokens) < position
    return False


def added_up(entries: Sequence[Entry]) -> list[Entry]:
    """All tokens of a whole log as one entry, then its end or where it stands."""
    runs: order.Runs = []
    told = [entry for entry in entries if entry.tokens is not None]
    for entry in told:
        if entry.runs:
            runs = order.read(entry.runs)
        else:
            order.extend(runs, entry.position, entry.text, entry.reasoning, entry.calls)
    whole = Entry(
        told[-1].position,
        tokens=tuple(token for entry in told for token in entry.tokens or ()),
        text="".join(entry.text for entry in told),
        reasoning="".join(entry.reasoning for entry in told),
        calls=tuple(call for entry in told for call in entry.calls),
        logprobs=tuple(each for entry in told for each in entry.logprobs),
        runs=tuple(tuple(run) for run in runs),
    )
    return [whole] if entries[-1].tokens is not None else [whole, entries[-1]]
