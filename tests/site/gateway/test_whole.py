"""A reader whose position lies within an entry gets the whole log as one, and nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
import redis

from chatsite.chat import frames
from chatsite.gateway import whole
from chatsite.gateway.follow import Follower, Hub, Place
from chatsite.gateway.nouns import Entry, ModelSpec, Request
from inference import lease, stream
from inference.contract import CallDelta, Finish, Tokens

TOKENS = [
    Tokens("g", 2, (1, 2), "one two ", "hm "),
    Tokens("g", 5, (3, 4, 5), "three four five", "", (CallDelta(0, "now", "{}"),)),
]


@pytest.fixture
def claim(broker: redis.Redis) -> lease.Claim:
    stream.create(broker, Request("g", "bob", ModelSpec("echo", "echo", {}), prompt="Count"))
    claim = lease.claim(broker, "echo", 60_000)
    assert claim
    for event in TOKENS:
        stream.append(broker, [(claim.fence, event)])
    return claim


@pytest.fixture
async def hub() -> AsyncIterator[Hub]:
    hub = Hub()
    yield hub
    await hub.close()


async def heard(hub: Hub, position: int, until: int) -> list[list[Entry]]:
    """What a reader gets who has so many tokens, until it has so many."""
    got: list[list[Entry]] = []
    enough = asyncio.Event()

    async def deliver(_: Follower, entries: Sequence[Entry]) -> None:
        got.append(list(entries))
        if entries[-1].position >= until:
            enough.set()

    async def queued(_: Follower, place: Place) -> None: ...

    follower = Follower("g", "echo", deliver, queued)
    follower.start_at(position)
    assert await hub.follow(follower)
    async with asyncio.timeout(5):
        await enough.wait()
    return got


@pytest.mark.parametrize("position", [3, 4])
async def test_it_works(hub: Hub, claim: lease.Claim, broker: redis.Redis, position: int) -> None:
    [[entry]] = await heard(hub, position, 5)
    assert (entry.position, entry.tokens) == (5, (1, 2, 3, 4, 5))
    assert (entry.text, entry.reasoning) == ("one two three four five", "hm ")
    assert entry.calls == (CallDelta(0, "now", "{}"),)
    # In the order in which it came.
    assert [run[:2] for run in entry.runs] == [(-2, 3), (-1, 23), (0, 2)]
    [frame] = frames.frames("g", position, [entry], "en")
    assert (frame["replace"], frame["from"], frame["to"]) == (True, 0, 5)
    assert frame["text"] == entry.text


@pytest.mark.parametrize("position", [0, 2])
async def test_who_stands_between_two_entries_gets_what_follows(
    hub: Hub, claim: lease.Claim, position: int
) -> None:
    [entries] = await heard(hub, position, 5)
    assert [entry.tokens for entry in entries if entry.tokens][-1] == (3, 4, 5)


async def test_the_end_comes_with_it(hub: Hub, claim: lease.Claim, broker: redis.Redis) -> None:
    stream.finish(broker, claim.fence, Finish("g", "stop", "!"))
    [[entry, end]] = await heard(hub, 4, 5)
    assert entry.position == end.position == 5
    assert end.end
    assert end.end.finish.text == "!"


async def test_what_follows_comes_once(hub: Hub, claim: lease.Claim, broker: redis.Redis) -> None:
    later = asyncio.create_task(heard(hub, 4, 6))
    await asyncio.sleep(0.3)
    stream.append(broker, [(claim.fence, Tokens("g", 6, (6,), " six"))])
    got = [entry for entries in await later for entry in entries]
    assert [entry.tokens for entry in got] == [(1, 2, 3, 4, 5), (6,)]


def test_a_log_that_was_put_back_keeps_its_order() -> None:
    runs = ((-2, 3, 1), (-1, 4, 1))
    restored = Entry(2, tokens=(1, 2), text="text", reasoning="hm ", runs=runs)
    later = [Entry(2, phase="restored"), Entry(3, tokens=(3,), text="!")]
    [entry] = whole.added_up([restored, *later])
    assert entry.runs == ((-2, 3, 1), (-1, 5, 2))
