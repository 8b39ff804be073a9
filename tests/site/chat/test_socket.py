"""An answer over the WebSocket: every token once and in order, whoever joins whenever."""

from __future__ import annotations

import asyncio

import pytest
import redis
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.utils import translation

from chatsite.accounts.models import User
from chatsite.chat import actions
from chatsite.gateway import actions as gateway
from chatsite.gateway import notices
from chatsite.gateway.errors import explain
from chatsite.gateway.follow import hub
from chatsite.gateway.models import Generation
from chatsite.gateway.packing import pack
from chatsite.steward.rounds import Steward
from tests.site.chat.socket import Reader, Worker, closed, hear, opened, silent, words
from tests.site.chat.talk import draft

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_hub")]


async def test_it_works(bob_client: Client, answer: Generation, broker: redis.Redis) -> None:
    async with opened(bob_client) as socket:
        reader = Reader(socket, answer.pk.hex)
        await reader.follow()
        state = await hear(socket, "state")
        assert state["phase"] == "waiting"
        worker = Worker(broker, answer.pk.hex)
        worker.tell("reading", 0.5)
        state = await hear(socket, "state")
        assert (state["phase"], state["fraction"]) == ("reading", 0.5)
        worker.write(20)
        await reader.read(20)
        worker.end()
        done = await hear(socket, "done")
        assert (done["to"], done["status"], done["reason"]) == (20, "done", "stop")
        assert done["stats"]["completion_tokens"] == 20
        assert reader.text == words(20)


async def test_tokens_that_come_together_travel_together(
    bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    worker = Worker(broker, answer.pk.hex)
    async with opened(bob_client) as socket:
        reader = Reader(socket, answer.pk.hex)
        await reader.follow()
        await asyncio.sleep(0.2)
        await sync_to_async(worker.write)(300)
        await reader.read(300)
        assert reader.text == words(300)
        assert reader.frames < 60


async def test_joining_at_every_moment(
    bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    """Followers that come while entries arrive get each of them once."""
    worker = Worker(broker, answer.pk.hex)

    async def write() -> None:
        for _ in range(100):
            await sync_to_async(worker.write)()
            await asyncio.sleep(0.005)
        worker.end()

    async def read(socket: WebsocketCommunicator, delay: float) -> str:
        await asyncio.sleep(delay)
        reader = Reader(socket, answer.pk.hex)
        await reader.follow()
        await reader.read(100)
        await hear(socket, "done")
        return reader.text

    async with opened(bob_client) as one, opened(bob_client) as two, opened(bob_client) as three:
        writing = asyncio.create_task(write())
        sockets = [one, two, three]
        texts = await asyncio.gather(*(read(socket, n * 0.23) for n, socket in enumerate(sockets)))
        await writing
    assert texts == [words(100)] * 3


async def test_following_again_and_again_loses_nothing(
    bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    worker = Worker(broker, answer.pk.hex)
    async with opened(bob_client) as socket:
        reader = Reader(socket, answer.pk.hex)
        for _ in range(20):
            await reader.follow()
            await sync_to_async(worker.write)(3)
            await asyncio.sleep(0.01)
            seen: str = reader.text
            assert words(60).startswith(seen)
            while (frame := await hear(socket, "delta"))["to"] <= reader.at:
                pass
            if frame["from"] == reader.at:
                reader.text, reader.at = reader.text + frame["text"], frame["to"]
        await reader.follow()
        while reader.at < 60:
            frame = await hear(socket, "delta")
            if frame["from"] == reader.at:
                reader.text, reader.at = reader.text + frame["text"], frame["to"]
        assert reader.text == words(60)


async def test_coming_back_at_a_position(
    bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    worker = Worker(broker, answer.pk.hex)
    worker.write(10)
    async with opened(bob_client) as socket:
        reader = Reader(socket, answer.pk.hex)
        reader.at, reader.text = 7, words(7)
        await reader.follow()
        await reader.read(10)
        assert reader.text == words(10)
        worker.end()
        await hear(socket, "done")
    async with opened(bob_client) as again:
        reader = Reader(again, answer.pk.hex)
        reader.at = 10
        await reader.follow()
        assert (await hear(again, "done"))["to"] == 10


async def test_one_who_has_more_than_the_log_hears_of_the_end(
    bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    """A log that was put back shorter, and ended there."""
    worker = Worker(broker, answer.pk.hex)
    worker.write(3)
    worker.end("error", {"kind": "history_lost"})
    async with opened(bob_client) as socket:
        reader = Reader(socket, answer.pk.hex)
        reader.at = 10
        await reader.follow()
        done = await hear(socket, "done")
        assert done["error"]["kind"] == "history_lost"


async def test_a_log_in_one_piece_takes_the_place_of_what_was_read(
    bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    answer.position, answer.text, answer.tokens = 12, words(12), pack(range(1, 13))
    broker.flushall()
    await sync_to_async(gateway.restore)(answer)
    async with opened(bob_client) as socket:
        reader = Reader(socket, answer.pk.hex)
        reader.at, reader.text = 5, words(5)
        await reader.follow()
        await reader.read(12)
        assert reader.text == words(12)


async def test_an_answer_of_long_ago_comes_from_the_row(
    bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    worker = Worker(broker, answer.pk.hex)
    worker.write(4)
    worker.end()
    await sync_to_async(Steward().round)()
    broker.delete(f"gen:{answer.pk.hex}", f"run:{answer.pk.hex}")
    async with opened(bob_client) as socket:
        reader = Reader(socket, answer.pk.hex)
        await reader.follow()
        await reader.read(4)
        assert reader.text == words(4)
        assert (await hear(socket, "done"))["status"] == "done"


async def test_stop(bob_client: Client, answer: Generation, broker: redis.Redis) -> None:
    worker = Worker(broker, answer.pk.hex)
    async with opened(bob_client) as socket:
        await Reader(socket, answer.pk.hex).follow()
        worker.write(2)
        await hear(socket, "delta")
        await socket.send_json_to({"type": "stop", "generation": answer.pk.hex})
        for _ in range(100):
            if broker.hget(f"run:{answer.pk.hex}", "cancel"):
                break
            await asyncio.sleep(0.02)
        worker.end("cancelled")
        assert (await hear(socket, "done"))["status"] == "stopped"


async def test_an_unfollowed_answer_is_silent(
    bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    worker = Worker(broker, answer.pk.hex)
    async with opened(bob_client) as socket:
        await Reader(socket, answer.pk.hex).follow()
        worker.write()
        await hear(socket, "delta")
        await socket.send_json_to({"type": "unfollow", "generation": answer.pk.hex})
        await asyncio.sleep(0.1)
        worker.write()
        assert await silent(socket, "delta")
        assert not hub._followers


async def test_an_error_speaks_the_readers_language(
    bob: User, bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    worker = Worker(broker, answer.pk.hex)
    worker.end("error", {"kind": "model_load_failed"})
    told = {}
    for language in ("en", "zh-hans"):
        with translation.override(language):
            told[language] = explain({"kind": "model_load_failed"})
    # The account's own choice goes before the browser's.
    for own, browser, spoken in (
        ("", "en", "en"),
        ("", "zh-CN", "zh-hans"),
        ("zh-hans", "en", "zh-hans"),
    ):
        bob.language = own
        await bob.asave()
        async with opened(bob_client, **{"accept-language": browser}) as socket:
            await Reader(socket, answer.pk.hex).follow()
            done = await hear(socket, "done")
            assert done["status"] == "failed"
            assert done["error"]["message"] == told[spoken]


async def test_notices_reach_whom_they_concern(
    bob: User, bob_client: Client, charlie_client: Client
) -> None:
    async with opened(bob_client) as socket, opened(charlie_client) as other:
        await sync_to_async(notices.publish)(bob.pk, "conversation", id="x")
        notice = await hear(socket, "notice")
        assert notice == {"type": "notice", "topic": "conversation", "id": "x"}
        await sync_to_async(notices.publish)(None, "models")
        assert (await hear(socket, "notice"))["topic"] == "models"
        # The first that Charlie hears is not Bob's.
        assert (await hear(other, "notice"))["topic"] == "models"


async def test_one_connection_reads_for_all(
    bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    sockets = []
    for _ in range(8):
        context = opened(bob_client)
        sockets.append((context, await context.__aenter__()))
    for _, socket in sockets:
        await Reader(socket, answer.pk.hex).follow()
        await hear(socket, "state")
    readers = [c for c in broker.client_list() if c["cmd"] == "xread"]
    assert len(readers) == 1
    for context, _ in sockets:
        await context.__aexit__(None, None, None)
    assert not hub._followers
    assert not hub._listeners


async def test_a_reader_that_follows_in_circles_is_hung_up(
    bob_client: Client,
    answer: Generation,
    broker: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chatsite.chat.consumers.MINUTE_CHARS", 20_000)
    worker = Worker(broker, answer.pk.hex)
    worker.write(300)
    async with opened(bob_client) as socket:
        for _ in range(30):
            await Reader(socket, answer.pk.hex).follow()
        assert await closed(socket) == 1008


async def test_who_waits_is_told_the_place_and_the_time(
    bob: User, bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    second = await sync_to_async(actions.say)(bob, None, draft("Another"))
    assert second.answer.generation is not None
    waiting = second.answer.generation.pk.hex
    async with opened(bob_client) as socket:
        await Reader(socket, waiting).follow()
        while (state := await hear(socket, "state"))["ahead"] != 1:
            assert (state["phase"], state["ahead"]) == ("waiting", 0)
        assert state["wait"] is None or state["wait"] >= 0
        # Its turn comes nearer.
        Worker(broker, answer.pk.hex)
        state = await hear(socket, "state")
        assert (state["phase"], state["ahead"]) == ("waiting", 0)


async def test_an_answer_that_is_set_aside_says_so(
    bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    worker = Worker(broker, answer.pk.hex)
    async with opened(bob_client) as socket:
        reader = Reader(socket, answer.pk.hex)
        await reader.follow()
        await sync_to_async(worker.write)(3)
        await reader.read(3)
        await sync_to_async(worker.tell)("waiting", 0)
        state = await hear(socket, "state")
        # It is in no queue: nobody can say how many are before it.
        assert (state["phase"], state["ahead"], state["wait"]) == ("waiting", 0, None)
        await sync_to_async(worker.write)(2)
        await reader.read(5)
        assert reader.text == words(5)
