"""Who leaves takes along what they asked for, also where it was only about to begin."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest
import redis
from django.http import HttpRequest

from chatsite.accounts.models import User
from chatsite.api import calls
from chatsite.api.chat import ChatBody
from chatsite.api.views.chat import ChatCompletions
from chatsite.gateway import tasks
from chatsite.gateway.follow import hub
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import ModelSpec, Task
from tests.site.api.asking import body, post, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def reset(broker: redis.Redis) -> AsyncIterator[None]:
    await hub.close()
    yield
    await asyncio.gather(*calls.stopping)
    await hub.close()


async def stopped() -> None:
    await until(Generation.objects.filter(stop_asked=True).aexists)


async def test_it_works(key: str) -> None:
    asking = asyncio.create_task(post(key, body()))
    await until(Generation.objects.aexists)
    await asyncio.sleep(0.2)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await stopped()


async def test_while_it_begins(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = ChatCompletions.begin
    reached, left = threading.Event(), threading.Event()

    def slowly(
        self: ChatCompletions, request: HttpRequest
    ) -> tuple[ChatBody, Sequence[Generation]]:
        reached.set()
        assert left.wait(10)
        return begin(self, request)

    monkeypatch.setattr(ChatCompletions, "begin", slowly)
    asking = asyncio.create_task(post(key, body()))
    await asyncio.to_thread(reached.wait, 10)
    asking.cancel()
    await asyncio.sleep(0.1)
    left.set()
    await asyncio.gather(asking, return_exceptions=True)
    await stopped()


async def test_while_the_broker_is_connected(bob: User) -> None:
    """The client of Redis swallows it at many of these moments."""
    for moment in range(3, 30):
        await hub.close()
        asked = tasks.put(bob, ModelSpec("echo", "echo", {}), Task("detokenize", (1,)))
        hearing = asyncio.create_task(tasks.hear(asked))
        for _ in range(moment):
            await asyncio.sleep(0)
        hearing.cancel()
        await asyncio.wait([hearing], timeout=5)
        assert hearing.cancelled(), moment
