"""Chat completions with store=true: found, listed, described and deleted again, by their owner
alone."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from openai.types.chat import ChatCompletion, ChatCompletionDeleted, ChatCompletionStoreMessage

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.api import stored
from chatsite.api.models import Stored
from chatsite.api.paging import Page
from chatsite.api.waiting import in_thread
from chatsite.gateway.models import Generation
from tests.site.api.responding import Api, save

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]
CHAT = "/v1/chat/completions"
NOW = {"name": "now", "parameters": {"type": "object", "properties": {}}}
CALL = '<tool_call>{"name": "now", "arguments": {"zone": "UTC"}}</tool_call>'


async def ask(api: Api, text: str, **fields: Any) -> dict[str, Any]:
    asked = {"model": "echo", "messages": [{"role": "user", "content": text}], **fields}
    status, body = await api.post(CHAT, {"store": True, **asked})
    assert status == 200, body
    return dict(body)


def official(body: dict[str, Any]) -> ChatCompletion:
    return ChatCompletion.model_validate_json(json.dumps(body), strict=True)


async def test_it_works(api: Api) -> None:
    """The same as it was answered with: at once, and when it is saved."""
    asked: dict[str, Any] = {
        "n": 2, "logprobs": True, "metadata": {"topic": "time"}, "service_tier": "auto",
        "tools": [{"type": "function", "function": NOW}],
    }  # fmt: skip
    made = await ask(api, f"<think>Why?</think>Look: {CALL}", **asked)
    for saved in (False, True):
        if saved:
            await save()
        status, body = await api.get(f"{CHAT}/{made['id']}")
        assert status == 200
        assert official(body).metadata == {"topic": "time"}
        assert {name: body[name] for name in made} == made


async def test_without_store_nothing_is_found(api: Api) -> None:
    made = await ask(api, "Hello", store=False)
    status, body = await api.get(f"{CHAT}/{made['id']}")
    assert (status, body["error"]["code"]) == (404, "not_found")
    _, page = await api.get(CHAT)
    assert page == {
        "object": "list", "data": [], "first_id": "", "last_id": "", "has_more": False,
    }  # fmt: skip


async def test_a_stream_is_stored_too(api: Api) -> None:
    status, *_ = await stream(api, "Hello Bob")
    assert status == 200
    _, page = await api.get(CHAT)
    assert page["data"][0]["choices"][0]["message"]["content"] == "Hello Bob"


async def stream(api: Api, text: str) -> tuple[int, bytes]:
    asked = {"model": "echo", "messages": [{"role": "user", "content": text}]}
    answer = await api.send(CHAT, {"store": True, "stream": True, **asked})
    return answer.status_code, b"".join([part async for part in answer])


async def test_they_are_listed_in_pages(api: Api) -> None:
    made = [
        await ask(api, f"number {number}", metadata={"n": str(number % 2)}) for number in range(5)
    ]
    ids = [each["id"] for each in made]
    for order, wanted in (("asc", ids), ("desc", ids[::-1])):
        found: list[str] = []
        query: dict[str, Any] = {"limit": 2, "order": order}
        while True:
            _, page = await api.get(CHAT, **query)
            for each in page["data"]:
                official(each)
            found += [each["id"] for each in page["data"]]
            if not page["has_more"]:
                break
            query["after"] = page["last_id"]
        assert found == wanted
    _, page = await api.get(CHAT, **{"metadata[n]": "1"})
    assert [each["id"] for each in page["data"]] == ids[1::2]
    _, page = await api.get(CHAT, **{"metadata[n]": "1", "metadata[m]": "1"})
    assert page["data"] == []
    _, page = await api.get(CHAT, model="echo", limit=1)
    assert (len(page["data"]), page["has_more"]) == (1, True)
    _, page = await api.get(CHAT, model="other")
    assert page["data"] == []
    for wrong in ({"limit": 0}, {"order": "up"}, {"after": "chatcmpl-1"}):
        status, body = await api.get(CHAT, **wrong)
        assert (status, body["error"]["param"]) == (400, next(iter(wrong)))


async def test_its_messages_are_kept(api: Api) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "one "},
                                     {"type": "text", "text": "two"}]},
    ]  # fmt: skip
    status, made = await api.post(CHAT, {"model": "echo", "messages": messages, "store": True})
    assert status == 200
    await save()
    _, page = await api.get(f"{CHAT}/{made['id']}/messages")
    assert [each["role"] for each in page["data"]] == ["system", "user"]
    assert [each["content"] for each in page["data"]] == ["Be brief.", "one two"]
    assert page["data"][1]["content_parts"] == messages[1]["content"]
    for each in page["data"]:
        # The type knows answers only.
        told = json.dumps({**each, "role": "assistant"})
        ChatCompletionStoreMessage.model_validate_json(told, strict=True)
    _, rest = await api.get(f"{CHAT}/{made['id']}/messages", after=page["first_id"])
    assert rest["data"] == page["data"][1:]


async def test_its_metadata_is_changed(api: Api) -> None:
    made = await ask(api, "Hello", metadata={"a": "1"})
    path = f"{CHAT}/{made['id']}"
    status, body = await api.post(path, {"metadata": {"b": "2"}})
    assert (status, official(body).metadata) == (200, {"b": "2"})
    assert (await api.get(path))[1]["metadata"] == {"b": "2"}
    for wrong in ({"x" * 65: ""}, {"x": "y" * 513}, {str(n): "" for n in range(17)}, {"x": 1}):
        status, body = await api.post(path, {"metadata": wrong})
        assert status == 400
        assert body["error"]["param"].startswith("metadata")
    assert (await api.post(path, {"metadata": {}, "model": "x"}))[0] == 400
    assert (await api.post(path, {}))[1]["error"]["param"] == "metadata"


async def test_it_is_deleted_for_good(api: Api) -> None:
    made = await ask(api, "secret", n=2)
    await save()
    path = f"{CHAT}/{made['id']}"
    status, body = await api.delete(path)
    assert status == 200
    assert ChatCompletionDeleted.model_validate_json(json.dumps(body), strict=True).deleted
    assert (await api.get(path))[0] == 404
    assert (await api.get(CHAT))[1]["data"] == []
    assert not await in_thread(Stored.objects.exists)
    assert not await in_thread(Generation.objects.exists)


async def test_r9_another_persons_is_unknown(api: Api, charlie: User) -> None:
    made = await ask(api, "mine")
    _, text = await in_thread(keys.make_key, charlie, "tests")
    charlies, path = Api(text), f"{CHAT}/{made['id']}"
    answers = [
        await charlies.get(path),
        await charlies.get(f"{path}/messages"),
        await charlies.post(path, {"metadata": {"a": "b"}}),
        await charlies.delete(path),
    ]
    assert [status for status, _ in answers] == [404] * 4
    assert (await charlies.get(CHAT))[1]["data"] == []
    status, body = await charlies.get(CHAT, after=made["id"])
    assert (status, body["error"]["param"]) == (400, "after")
    assert (await api.get(path))[1]["metadata"] == {}


@pytest.mark.parametrize("id", ["chatcmpl-1", "resp_" + "0" * 32, "chatcmpl-" + "g" * 32, "%00"])
async def test_an_id_that_is_none_is_unknown(api: Api, id: str) -> None:
    for path in (f"{CHAT}/{id}", f"/v1/responses/{id}"):
        assert (await api.get(path))[0] == 404
        assert (await api.delete(path))[0] == 404


async def test_a_response_is_no_completion(api: Api) -> None:
    made = await api.respond("Hello")
    hexed = made["id"].removeprefix("resp_")
    assert (await api.get(f"{CHAT}/chatcmpl-{hexed}"))[0] == 404
    completion = await ask(api, "Hello")
    hexed = completion["id"].removeprefix("chatcmpl-")
    assert (await api.get(f"/v1/responses/resp_{hexed}"))[0] == 404


async def test_what_failed_costs_the_list_nothing(api: Api) -> None:
    for _ in range(3):
        asked = {"model": "echo", "messages": [{"role": "user", "content": "x " * 300}]}
        status, _body = await api.post(CHAT, {"store": True, **asked})
        assert status == 400
    await save()
    kept = await ask(api, "Hello")

    def listed() -> tuple[list[str], int]:
        with CaptureQueriesContext(connection) as made:
            owner = User.objects.get(username="bob")
            found = stored.completions(owner, Page(20, "", descending=False), "", {})
            return [each.pk.hex for each, _ in found], len(made)

    ids, queries = await in_thread(listed)
    assert ids == [kept["id"].removeprefix("chatcmpl-")]
    # The owner, the list, this one, its choices, and whether it lives.
    assert queries <= 5


async def test_what_nobody_kept_goes_after_a_day(api: Api) -> None:
    """Whole and in all its choices; what was kept stays, and so does what was asked today."""
    for body in ({"store": True, "n": 2}, {"store": False, "n": 2}):
        await ask(api, "a day ago", **body)
    await save()
    await in_thread(age, timedelta(hours=26))
    await ask(api, "today", store=False)
    await save()
    await in_thread(stored.purge)
    kept = await in_thread(lambda: list(Generation.objects.order_by("created")))
    assert [row.text for row in kept] == ["a day ago", "a day ago", "today"]
    assert await in_thread(lambda: kept[0].stored.others) == [kept[1].pk.hex]


def age(by: timedelta) -> None:
    for row in Generation.objects.all():
        Generation.objects.filter(pk=row.pk).update(ended=timezone.now() - by)
