"""`Idempotency-Key`: a request that comes again is answered by what the first one started."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils import timezone
from pytest_django import Settings

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.api import calls, limits
from chatsite.api.views.chat import ChatCompletions
from chatsite.gateway.models import Generation
from chatsite.metering import quotas, repeats
from chatsite.metering.models import Repeat
from chatsite.steward.rounds import Steward
from tests.site.api.asking import PATH, body, chunks, post, read, said, until
from tests.site.api.echoing import EchoWorker
from tests.site.metering.test_quotas import limit_site

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]

ONCE = {"Idempotency-Key": "order-17"}


async def count() -> int:
    return await Generation.objects.acount()


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def steward() -> None:
    await sync_to_async(Steward().round)()


async def test_it_works(key: str) -> None:
    first = await post(key, body(n=2), **ONCE)
    assert "Idempotent-Replayed" not in first.headers
    again = await post(key, body(n=2), **ONCE)
    assert first.status_code == again.status_code == 200
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await count() == 2
    assert (await post(key, body(n=2))).content != first.content
    assert await count() == 4


async def test_a_stream_comes_from_its_beginning(key: str) -> None:
    asked = body(stream=True, stream_options={"include_usage": True})
    first = await read(await post(key, asked, **ONCE))
    again = await read(await post(key, asked, **ONCE))
    assert said(again) == said(first) == "one two three"
    assert {chunk["id"] for chunk in chunks(again)} == {chunks(first)[0]["id"]}
    assert chunks(again)[-1]["usage"] == chunks(first)[-1]["usage"]
    assert chunks(again)[0]["created"] == chunks(first)[0]["created"]
    assert await count() == 1


async def test_another_body_is_refused(key: str) -> None:
    await post(key, body(), **ONCE)
    for fields, path in (
        (body("something else"), PATH),
        (body(stream=True), PATH),
        ({"model": "echo", "prompt": "one two three"}, "/v1/completions"),
    ):
        answer = await post(key, fields, path, **ONCE)
        assert code(answer) == (409, "idempotency_key_reused")
        # The SDKs would try again otherwise.
        assert answer.headers["x-should-retry"] == "false"
    assert await count() == 1


async def test_the_same_body_may_be_written_otherwise(key: str) -> None:
    first = await post(key, body(temperature=0.5), **ONCE)
    again = await post(key, dict(reversed(body(temperature=0.5).items())), **ONCE)
    assert again.content == first.content


async def test_the_name_belongs_to_its_key(bob: User, charlie: User, key: str) -> None:
    first = await post(key, body(), **ONCE)
    for owner in (bob, charlie):
        other = (await sync_to_async(keys.make_key)(owner))[1]
        answer = await post(other, body(), **ONCE)
        assert answer.status_code == 200
        assert answer.json()["id"] != first.json()["id"]
    assert await count() == 3


async def test_two_at_the_same_moment_start_one(key: str, worker: EchoWorker) -> None:
    worker.open = False
    found = await asyncio.to_thread(come_together, key, 6)
    assert len(found) == 6
    assert all(ids == found[0] for ids in found)
    assert await count() == 2
    assert (await Repeat.objects.aget()).readers == 6


def come_together(key: str, many: int) -> list[list[str]]:
    """The generations that each of so many gets that come at one moment."""
    start = threading.Barrier(many)
    found: list[list[str]] = []

    def come() -> None:
        asked = request(key, n=2)
        start.wait()
        try:
            found.append([row.pk.hex for row in ChatCompletions().enter(asked).rows])
        finally:
            connection.close()

    threads = [threading.Thread(target=come) for _ in range(many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def request(key: str, **fields: Any) -> HttpRequest:
    headers = {"Authorization": f"Bearer {key}", **ONCE}
    data = json.dumps(body(**fields))
    return RequestFactory().post(PATH, data, "application/json", headers=headers)


async def test_who_comes_in_the_middle_reads_along(key: str, worker: EchoWorker) -> None:
    worker.open = False
    waiting = [asyncio.create_task(post(key, body(), **ONCE)) for _ in range(3)]
    await until(Repeat.objects.filter(readers=3).aexists)
    assert await count() == 1
    worker.open = True
    answers = await asyncio.gather(*waiting)
    assert {answer.content for answer in answers} == {answers[0].content}
    assert await count() == 1


async def test_a_web_process_that_died_in_the_middle(key: str, worker: EchoWorker) -> None:
    """Its call is begun, and nobody reads it or says that it left."""
    worker.open = False
    begun = await sync_to_async(ChatCompletions().enter)(request(key))
    worker.open = True
    again = await post(key, body(), **ONCE)
    assert said(again.content) == "one two three"
    assert again.json()["id"] == f"chatcmpl-{begun.rows[0].pk.hex}"


@pytest.mark.parametrize("stream", [False, True])
async def test_when_the_log_is_gone_the_row_is_read(
    key: str, broker: redis.Redis, stream: bool
) -> None:
    first = await read(await post(key, body(stream=stream), **ONCE))
    await steward()
    broker.flushall()
    again = await read(await post(key, body(stream=stream), **ONCE))
    assert said(again) == said(first) == "one two three"
    if not stream:
        assert again == first
    assert await count() == 1


async def test_it_is_kept_for_a_day(key: str) -> None:
    first = await post(key, body(), **ONCE)
    day = timezone.now() - repeats.LASTS
    await Repeat.objects.aupdate(created=day + timedelta(minutes=1))
    await sync_to_async(repeats.purge)()
    assert (await post(key, body(), **ONCE)).content == first.content
    await Repeat.objects.aupdate(created=day - timedelta(minutes=1))
    # Another body is no reuse any more.
    assert (await post(key, body("four"), **ONCE)).status_code == 200
    assert (await post(key, body("four"), **ONCE)).headers["Idempotent-Replayed"] == "true"
    assert await count() == 2
    await Repeat.objects.aupdate(created=day - timedelta(minutes=1))
    await sync_to_async(repeats.purge)()
    assert not await Repeat.objects.aexists()


async def leave(key: str, before: int = 0) -> None:
    """Ask, and go while it waits."""
    asking = asyncio.create_task(post(key, body(), **ONCE))
    await until(Repeat.objects.filter(readers__gt=before).aexists)
    await asyncio.sleep(0.2)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_who_left_is_expected_back(key: str, worker: EchoWorker) -> None:
    worker.open = False
    await leave(key)
    worker.open = True
    again = await post(key, body(), **ONCE)
    assert said(again.content) == "one two three"
    assert await count() == 1


async def test_who_does_not_come_back_stops_it(
    key: str, worker: EchoWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "LINGER", 0.05)
    worker.open = False
    await leave(key)
    await until(Generation.objects.filter(stop_asked=True).aexists)
    assert (await Repeat.objects.aget()).readers == 0
    worker.open = True
    # Nobody got an answer: it begins anew.
    again = await post(key, body(), **ONCE)
    assert said(again.content) == "one two three"
    assert "Idempotent-Replayed" not in again.headers
    assert await count() == 2
    assert (await post(key, body(), **ONCE)).content == again.content
    assert await count() == 2


async def test_who_leaves_takes_nothing_from_who_stays(
    key: str, worker: EchoWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "LINGER", 0.05)
    worker.open = False
    staying = asyncio.create_task(post(key, body(), **ONCE))
    await until(Repeat.objects.aexists)
    await leave(key, before=1)
    await asyncio.sleep(0.3)
    worker.open = True
    assert said((await staying).content) == "one two three"
    assert await Generation.objects.filter(stop_asked=True).acount() == 0


async def test_what_failed_is_no_answer(key: str) -> None:
    long = body("x " * 300)
    assert code(await post(key, long, **ONCE))[1] == "context_length_exceeded"
    await steward()
    assert code(await post(key, long, **ONCE))[1] == "context_length_exceeded"
    assert await count() == 2


async def test_what_was_refused_is_forgotten(bob: User, key: str) -> None:
    assert (await post(key, body(temperature=3), **ONCE)).status_code == 400
    assert (await post(key, body(model="gpt-9"), **ONCE)).status_code == 404
    await sync_to_async(limit_site)(requests_per_day=0)
    assert (await post(key, body(), **ONCE)).status_code == 429
    assert not await Repeat.objects.aexists()
    await sync_to_async(limit_site)()
    assert (await post(key, body(), **ONCE)).status_code == 200


async def test_a_repeat_is_no_second_request(bob: User, key: str) -> None:
    await sync_to_async(limit_site)(requests_per_day=1)
    # As a thread has it in which somebody without limits was let in before.
    limits.admitted.set(quotas.Standing())
    for _ in range(3):
        answer = await post(key, body(), **ONCE)
        assert answer.status_code == 200
        assert answer.headers["x-ratelimit-remaining-requests"] == "0"
    assert (await post(key, body())).status_code == 429
    standing = await sync_to_async(quotas.look)(bob.pk)
    assert standing.gauges[0].used == 1


@pytest.mark.parametrize("name", ["", "   ", "x" * 256, "a\tb"])
async def test_names_have_bounds(key: str, name: str) -> None:
    answer = await post(key, body(), **{"Idempotency-Key": name})
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["error"]["message"]
    assert not await Repeat.objects.aexists()


async def test_no_key_no_name(bob: User) -> None:
    assert (await post("cs-unknown", body(), **ONCE)).status_code == 401
    assert (await post("", {}, **ONCE)).status_code == 401


async def test_the_owner_of_this_machine_has_names_too(
    alice: User, key: str, settings: Settings
) -> None:
    settings.CHATSITE_LOCAL_OWNER = True

    def begun(sent: str) -> tuple[list[Generation], bool]:
        asked = request(sent)
        asked.META["HTTP_HOST"] = "127.0.0.1:8000"
        entered = ChatCompletions().enter(asked)
        return list(entered.rows), "Idempotent-Replayed" in entered.headers

    ask = sync_to_async(begun)
    mine, replayed = await ask("EMPTY")
    assert (mine[0].owner_id, mine[0].key_id, replayed) == (alice.pk, None, False)
    assert await ask("EMPTY") == (mine, True)
    # One of their keys is somebody else.
    made = (await sync_to_async(keys.make_key)(alice))[1]
    for other in (made, key):
        assert (await ask(other))[1] is False
    assert await count() == 3
