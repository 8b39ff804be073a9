"""A closed row is read as its log was: the same pieces added up, and the same end."""

from __future__ import annotations

import pytest
import redis

from chatsite.accounts.models import User
from chatsite.api.calls import Choice
from chatsite.gateway import actions as gateway
from chatsite.gateway import journal, replay
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import Entry, ModelSpec, Sampling
from chatsite.steward.rounds import Steward
from inference import lease, stream
from inference.contract import CallDelta, Finish, Logprob, Tokens

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def row(bob: User, broker: redis.Redis) -> Generation:
    spec = ModelSpec("echo", "echo", {})
    sampling = Sampling(logprobs=1)
    return gateway.start(owner=bob, kind="api", spec=spec, sampling=sampling, prompt="Go")


def write(broker: redis.Redis, row: Generation, finish: Finish, *events: Tokens) -> list[Entry]:
    """What a worker logs of it; its row is closed then."""
    claim = lease.claim(broker, "echo", 60_000)
    assert claim
    for event in events:
        assert stream.append(broker, [(claim.fence, event)]) == [0]
    stream.finish(broker, claim.fence, finish)
    logged = journal.read([(row.pk.hex, b"0-1")])[0].entries
    Steward().round()
    row.refresh_from_db()
    return logged


def read(row: Generation, entries: list[Entry]) -> tuple[object, ...]:
    piece = Choice(0, row).read(entries)
    assert piece.end
    calls: list[list[str]] = []
    for call in piece.calls:
        if call.index == len(calls):
            calls.append([call.name, call.arguments])
        else:
            calls[call.index][1] += call.arguments
    finish = piece.end.finish
    told = (piece.text, piece.reasoning, calls, piece.logprobs)
    return (*told, finish.reason, finish.error, piece.end.stats)


def test_it_works(row: Generation, broker: redis.Redis) -> None:
    id = row.pk.hex
    likely = Logprob(1, (104, 105), -0.5, (Logprob(1, (104, 105), -0.5), Logprob(2, (33,), -2.0)))
    logged = write(
        broker,
        row,
        Finish(id, "stop", "rest", "held", None, {"prompt_tokens": 9, "cached_tokens": 3}),
        Tokens(id, 1, (7,), "one ", "hm ", (CallDelta(0, "weather", '{"in"'),), (likely,)),
        Tokens(id, 3, (8, 9), "two ", "", (CallDelta(0, arguments=':"Oslo"}'),), (likely, likely)),
    )
    assert read(row, logged) == read(row, replay.entries(row))
    assert "".join(entry.text for entry in replay.entries(row)) == "one two rest"


def test_a_failure(row: Generation, broker: redis.Redis) -> None:
    error = {"kind": "context_length_exceeded", "prompt_tokens": 9, "context_length": 4}
    logged = write(broker, row, Finish(row.pk.hex, "error", error=error))
    assert read(row, logged) == read(row, replay.entries(row))
