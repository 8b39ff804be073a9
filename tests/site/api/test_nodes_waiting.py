"""A program that waits for a model which no machine can run is told so after a while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import redis

from chatsite.api import calls
from chatsite.gateway.follow import hub
from inference import board
from inference.board import WorkerState
from tests.site.api.asking import body, post

pytestmark = pytest.mark.django_db(transaction=True)
BOX = WorkerState("box-1", "box", 1, "", 2, 8 << 30, 4 << 30, engines=("echo",))


@pytest.fixture(autouse=True)
async def reset(broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(calls, "STUCK", 0.5)
    monkeypatch.setattr(calls, "SILENCE", 0.3)
    await hub.close()
    yield
    await asyncio.gather(*calls.stopping)
    await hub.close()


async def test_it_works(key: str) -> None:
    answer = await post(key, body())
    assert answer.status_code == 503
    error = json.loads(answer.content)["error"]
    assert error["code"] == "no_worker"
    assert "No machine of this site can run this model" in error["message"]


async def test_a_machine_that_has_gone(key: str, broker: redis.Redis) -> None:
    board.greet(broker, BOX)
    board.part(broker, BOX)
    answer = await post(key, body())
    assert (answer.status_code, json.loads(answer.content)["error"]["code"]) == (
        503,
        "machine_gone",
    )


async def test_who_only_waits_for_a_turn_is_not_sent_away(key: str, broker: redis.Redis) -> None:
    board.greet(broker, BOX)
    asking = asyncio.create_task(post(key, body()))
    await asyncio.sleep(2.5)
    board.greet(broker, BOX)
    assert not asking.done()
    asking.cancel()
