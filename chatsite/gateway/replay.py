"""A row as the log that it was, for readers who come when the log is gone."""

from __future__ import annotations

from chatsite.gateway.models import Generation
from chatsite.gateway.packing import unpack
from inference.contract import CallDelta, Finish, Logprob
from inference.stream import End, Entry


def entries(row: Generation) -> list[Entry]:
    """All tokens in one piece, and the end."""
    assert not row.is_live, "only what is over is read from its row"
    finish = Finish(row.pk.hex, row.finish_reason, error=row.error, stats=row.stats)
    return [*written(row), Entry(row.position, end=End(finish, row.stats))]


def written(row: Generation) -> list[Entry]:
    """What a row has so far."""
    if not row.position:
        return []
    calls = tuple(CallDelta(index, **call) for index, call in enumerate(row.calls))
    logprobs = tuple(Logprob.from_list(each) for each in row.logprobs or ())
    whole = Entry(
        row.position,
        tokens=tuple(unpack(bytes(row.tokens))),
        text=row.text,
        reasoning=row.reasoning,
        calls=calls,
        logprobs=logprobs,
        runs=tuple(tuple(run) for run in row.runs),
    )
    return [whole]
