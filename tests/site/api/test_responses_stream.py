"""Responses as streams: the same events from any of them on, live, afterwards and from the row;
what goes on when its reader leaves, and what does not."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.test import AsyncClient

from chatsite.api.waiting import in_thread
from chatsite.gateway.models import Generation
from chatsite.steward.rounds import Steward
from inference import lease, stream
from inference.contract import Job, Tokens
from inference.engines.base import Setup
from inference.engines.echo import EchoEngine
from tests.site.api.echoing import SPEC, EchoWorker
from tests.site.api.responding import RESPONSES, Api, events, save, text

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]
NOW = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}}
CALL = '<tool_call>{"name": "now", "arguments": {"zone": "UTC"}}</tool_call>'
SAID = f"<think>Let me see 🙂</think>Hello Bob, 你好, it is{CALL} and {CALL}that is all"
LOGPROBS = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}


def forget(broker: redis.Redis, id: str) -> None:
    """As an hour after the end."""
    hexed = id.removeprefix("resp_")
    assert broker.delete(stream.LOG + hexed, stream.RUN + hexed) == 2


async def until(check: Callable[[], bool]) -> None:
    limit = time.monotonic() + 10
    while not await in_thread(check):
        assert time.monotonic() < limit
        await asyncio.sleep(0.02)


def ended() -> bool:
    return not Generation.objects.filter(status=Generation.Status.LIVE).exists()


def saved() -> bool:
    Steward().round()
    return ended()


async def test_it_works(api: Api) -> None:
    found = await api.stream("Hello Bob", store=False)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert [event["type"].removeprefix("response.") for event in found if "delta" not in event] == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    assert "".join(event.get("delta", "") for event in found) == "Hello Bob"
    assert text(found[-1]["response"]) == "Hello Bob"


@pytest.mark.parametrize("fields", [{}, {"background": True}, LOGPROBS], ids=str)
async def test_every_number_means_the_same_events_to_everybody(
    api: Api, broker: redis.Redis, fields: dict[str, Any]
) -> None:
    """From the log that has ended, and from the row when that is gone."""
    whole = await api.stream(SAID, tools=[NOW], **fields)
    kinds = {event["type"].removeprefix("response.") for event in whole}
    assert {"reasoning_text.delta", "output_text.delta", "function_call_arguments.delta"} <= kinds
    assert [item["type"] for item in whole[-1]["response"]["output"]] == [
        *("reasoning", "message", "function_call", "message", "function_call", "message"),
    ]
    id = whole[0]["response"]["id"]
    for source in ("log", "saved", "row"):
        if source == "saved":
            await save()
            assert await in_thread(ended)
        if source == "row":
            forget(broker, id)
        assert await api.resume(id) == whole
        for after in range(0, len(whole) + 1, 3):
            assert await api.resume(id, starting_after=after) == whole[after + 1 :]
        assert (await api.get(f"{RESPONSES}/{id}"))[1] == whole[-1]["response"]


async def test_log_probabilities_stand_beside_their_words(api: Api) -> None:
    found = await api.stream("Hello Bob, hello", **LOGPROBS)
    deltas = [each for each in found if each["type"] == "response.output_text.delta"]
    tokens = [each["token"] for delta in deltas for each in delta["logprobs"]]
    assert "".join(tokens) == "Hello Bob, hello"
    part = found[-1]["response"]["output"][0]["content"][0]
    assert [each["token"] for each in part["logprobs"]] == tokens
    assert all(each["bytes"] == list(each["token"].encode()) for each in part["logprobs"])


async def test_a_stream_that_was_cut_goes_on_where_it_was(api: Api, worker: EchoWorker) -> None:
    """Time after time, while it is written."""
    draw = random.Random(5)
    words = " ".join(f"word{number}" for number in range(150))
    made = await api.respond(words, background=True)
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] != "response.completed":
        query = {"starting_after": found[-1]["sequence_number"]} if found else {}
        answer: Any = await AsyncClient().get(
            f"{RESPONSES}/{made['id']}", {"stream": "true", **query}, headers=api.headers
        )
        body = b""
        some = draw.randrange(1, 4000)
        async for part in answer:
            body += part
            if len(body) > some:
                break
        await answer.streaming_content.aclose()
        # What came whole; the rest was cut within an event.
        blocks = body[:some].decode(errors="replace").split("\n\n")[:-1]
        data = [block.partition("\ndata: ")[2] for block in blocks if not block.startswith(":")]
        found += map(json.loads, data)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    assert found == await api.resume(made["id"])
    assert "".join(event.get("delta", "") for event in found) == words


def write(broker: redis.Redis, steps: int) -> None:
    """The beginning of what waits, as a worker writes that is gone then."""
    claim = lease.claim(broker, "echo", 60_000)
    assert claim
    log, engine = stream.load(broker, claim.id), EchoEngine()
    assert log.request
    engine.load(SPEC, Setup(), lambda _: None)
    engine.add(Job(log.request))
    for _ in range(steps):
        for event in engine.step():
            assert isinstance(event, Tokens)
            stream.append(broker, [(claim.fence, event)])


@pytest.mark.parametrize("steps", [3, 8, 14])
async def test_a_log_that_was_lost_comes_back_as_it_was(
    api: Api, broker: redis.Redis, worker: EchoWorker, steps: int
) -> None:
    """Who has read some of it reads on, and who comes later reads the same."""
    worker.open = False
    made = await api.respond(SAID, tools=[NOW], background=True)
    write(broker, steps)
    reader = asyncio.create_task(api.resume(made["id"]))
    await asyncio.sleep(0.3)
    await save()
    forget(broker, made["id"])
    # It is put back from the row.
    await save()
    worker.open = True
    whole = await reader
    assert await api.resume(made["id"]) == whole
    await until(saved)
    forget(broker, made["id"])
    assert await api.resume(made["id"]) == whole
    undisturbed = await api.stream(SAID, tools=[NOW], background=True)
    assert [words(event) for event in whole] == [words(event) for event in undisturbed]


def words(event: dict[str, Any]) -> tuple[Any, ...]:
    """An event without what is a response's own."""
    return tuple(event.get(name) for name in ("sequence_number", "type", "delta", "output_index"))


async def test_it_waits_in_the_background(api: Api, worker: EchoWorker) -> None:
    worker.open = False
    made = await api.respond("Hello Bob", background=True)
    path = f"{RESPONSES}/{made['id']}"
    assert (made["status"], made["output"]) == ("queued", [])
    assert (await api.get(path))[1] == made
    reader = asyncio.create_task(api.resume(made["id"], starting_after=0))
    await asyncio.sleep(0.1)
    worker.open = True
    found = await reader
    assert [event["sequence_number"] for event in found] == list(range(1, len(found) + 1))
    assert (await api.get(path))[1] == found[-1]["response"]
    assert text(found[-1]["response"]) == "Hello Bob"


async def test_it_is_cancelled_once_and_for_all(api: Api, worker: EchoWorker) -> None:
    worker.open = False
    made = await api.respond("Hello Bob", background=True)
    reader = asyncio.create_task(api.resume(made["id"]))
    await asyncio.sleep(0.1)
    path = f"{RESPONSES}/{made['id']}"
    for _ in range(2):
        status, body = await api.post(f"{path}/cancel")
        assert (status, body["status"]) == (200, "cancelled")
    found = await reader
    assert found[-1]["type"] == "response.incomplete"
    assert found[-1]["response"]["status"] == "cancelled"
    await save()
    assert (await api.get(path))[1] == (await api.post(f"{path}/cancel"))[1]
    assert await api.resume(made["id"]) == found


async def test_what_has_ended_stays_as_it_is(api: Api) -> None:
    made = await api.respond("Hello", background=True)
    whole = (await api.resume(made["id"]))[-1]["response"]
    assert await api.post(f"{RESPONSES}/{made['id']}/cancel") == (200, whole)


async def test_only_what_is_in_the_background_is_cancelled(api: Api) -> None:
    made = await api.respond("Hello")
    status, body = await api.post(f"{RESPONSES}/{made['id']}/cancel")
    assert status == 400
    assert "background" in body["error"]["message"]


@pytest.mark.parametrize("background", [False, True])
async def test_only_what_is_in_the_background_goes_on_without_a_reader(
    api: Api, worker: EchoWorker, background: bool
) -> None:
    worker.open = False
    fields = {"model": "echo", "input": "Hello", "stream": True, "background": background}
    asked = asyncio.create_task(
        AsyncClient().post(
            RESPONSES, json.dumps(fields), content_type="application/json", headers=api.headers
        )
    )
    if background:
        answer: Any = await asked
        async for part in answer:
            assert b"response.created" in part
            break
        await answer.streaming_content.aclose()
    else:
        await until(Generation.objects.exists)
        asked.cancel()
        await asyncio.wait([asked])
        await until(Generation.objects.filter(stop_asked=True).exists)
    worker.open = True
    await until(saved)
    row = await in_thread(Generation.objects.get)
    assert row.status == ("done" if background else "stopped")


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"stream": "maybe"}, "stream"),
        ({"stream": "true", "starting_after": "x"}, "starting_after"),
        ({"stream": "true", "starting_after": "-1"}, "starting_after"),
        ({"starting_after": "1"}, "starting_after"),
    ],
)
async def test_what_is_asked_wrong_is_named(api: Api, query: dict[str, str], param: str) -> None:
    made = await api.respond("Hello")
    status, body = await api.get(f"{RESPONSES}/{made['id']}", **query)
    assert (status, body["error"]["param"]) == (400, param)


async def test_an_idempotent_repeat_is_the_same_response(api: Api) -> None:
    """It is kept once, and both get the same events."""
    fields = {"model": "echo", "input": "Hello Bob", "stream": True}
    headers = {**api.headers, "Idempotency-Key": "once"}
    found = []
    for _ in range(2):
        answer: Any = await AsyncClient().post(
            RESPONSES, json.dumps(fields), content_type="application/json", headers=headers
        )
        found.append(await events(answer))
    assert found[0] == found[1]
