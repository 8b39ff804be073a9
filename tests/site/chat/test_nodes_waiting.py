"""Who waits for a model that no machine can run reads why, in their language, until one can."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis
from asgiref.sync import sync_to_async
from django.test import Client

from chatsite.accounts.models import User
from chatsite.gateway.models import Generation
from inference import board
from inference.board import WorkerState
from tests.site.chat.socket import Reader, hear, opened

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_hub")]
BOX = WorkerState("box-1", "box", 1, "", 2, 8 << 30, 4 << 30, engines=("echo",))


async def told(client: Client, answer: Generation) -> dict[str, str]:
    async with opened(client) as socket:
        await Reader(socket, answer.pk.hex).follow()
        while not (reason := (await hear(socket, "state")).get("reason")):
            pass
        return dict(reason)


async def test_it_works(bob_client: Client, answer: Generation, broker: redis.Redis) -> None:
    reason = await told(bob_client, answer)
    assert (reason["kind"], reason["machine"]) == ("no_worker", "")
    assert reason["message"].startswith("No machine of this site can run this model")


async def test_a_machine_that_has_gone_is_named(
    bob: User, bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    board.greet(broker, BOX)
    board.part(broker, BOX)
    reason = await told(bob_client, answer)
    assert (reason["kind"], reason["machine"]) == ("machine_gone", "box-1")
    assert "The machine box-1 that has this model does not answer" in reason["message"]
    bob.language = "zh-hans"
    await sync_to_async(bob.save)()
    assert "拥有此模型的机器 box-1 没有响应" in (await told(bob_client, answer))["message"]


async def test_it_is_over_when_one_is_there(
    bob_client: Client, answer: Generation, broker: redis.Redis
) -> None:
    board.greet(broker, replace(BOX, duty="drained"))
    async with opened(bob_client) as socket:
        await Reader(socket, answer.pk.hex).follow()
        await hear(socket, "state")
        assert (await hear(socket, "state"))["reason"]["kind"] == "draining"
        board.greet(broker, BOX)
        state = await hear(socket, "state")
        assert (state["phase"], state.get("reason")) == ("waiting", None)
