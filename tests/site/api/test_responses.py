"""`/v1/responses`: made, read again, gone on from, deleted, as OpenAI has it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import ResponseItemList
from openai.types.responses.response_item_list import ResponseItemList as Listed

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.api.models import Stored
from chatsite.api.responses import history
from chatsite.api.waiting import in_thread
from chatsite.gateway.models import Generation
from tests.site.api.asking import until
from tests.site.api.echoing import EchoWorker
from tests.site.api.responding import RESPONSES, Api, save, text

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]
NOW = {"type": "function", "name": "now", "parameters": {"type": "object", "properties": {}}}
CALL = '<tool_call>{"name": "now", "arguments": {"zone": "UTC"}}</tool_call>'


@pytest.fixture
def charlies(charlie: User) -> Api:
    return Api(keys.make_key(charlie, "tests")[1])


async def test_it_works(api: Api) -> None:
    """The answer, and the same again when it is asked for: at once and when it is saved."""
    made = await api.respond("Hello, Bob", metadata={"topic": "greeting"}, temperature=0.5)
    assert text(made) == "Hello, Bob"
    assert made["status"] == "completed"
    assert made["metadata"] == {"topic": "greeting"}
    assert made["temperature"] == 0.5
    assert made["usage"]["output_tokens"] > 0
    assert await api.get(f"{RESPONSES}/{made['id']}") == (200, made)
    await save()
    assert await api.get(f"{RESPONSES}/{made['id']}") == (200, made)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ([{"role": "user", "content": "one"}], "one"),
        ([{"role": "user", "content": [{"type": "input_text", "text": "two"}]}], "two"),
        (
            [
                {"role": "developer", "content": "Be kind."},
                {"role": "system", "content": "Be brief."},
                {"type": "message", "role": "user", "content": "three"},
                {"type": "reasoning", "id": "rs_1", "summary": [], "content": []},
                {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
                 "content": [{"type": "output_text", "text": "x", "annotations": []}]},
                {"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c1", "output": "noon"},
            ],
            "three",
        ),
    ],
    ids=["text", "parts", "all kinds"],
)  # fmt: skip
async def test_input_has_many_forms(api: Api, said: Any, answer: str) -> None:
    made = await api.respond(said, instructions="Answer.")
    assert text(made) == answer
    generation = await in_thread(Generation.objects.get)
    roles = [message["role"] for message in generation.request["messages"]]
    assert roles[0] == "system"
    assert len(roles) == {"one": 2, "two": 2, "three": 6}[answer]


async def test_reasoning_and_calls_are_items(api: Api) -> None:
    made = await api.respond(f"<think>Why not?</think>Look: {CALL}", tools=[NOW])
    reasoning, message, call = made["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "Why not?"}]
    assert message["content"][0]["text"].startswith("Look:")
    assert (call["type"], call["name"]) == ("function_call", "now")
    assert json.loads(call["arguments"]) == {"zone": "UTC"}
    assert made["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    # What was made comes back as input, with the call's answer.
    said = [*made["output"], {"type": "function_call_output", "call_id": call["call_id"],
                              "output": "noon"}, {"role": "user", "content": "Thanks"}]  # fmt: skip
    assert text(await api.respond(said)) == "Thanks"
    generation = await in_thread(Generation.objects.latest, "created")
    answer, tool, _ = generation.request["messages"]
    assert (answer["reasoning"], answer["content"]) == ("Why not?", message["content"][0]["text"])
    assert answer["tool_calls"][0]["name"] == "now"
    assert (tool["role"], tool["name"], tool["content"]) == ("tool", "now", "noon")


async def test_sealed_reasoning_comes_back(api: Api) -> None:
    """Without anything stored, as programs do that keep the conversation themselves."""
    include = ["reasoning.encrypted_content"]
    made = await api.respond("<think>Why not?</think>Yes", store=False, include=include)
    reasoning, message = made["output"]
    sealed = {"type": "reasoning", "id": reasoning["id"], "summary": [],
              "encrypted_content": reasoning["encrypted_content"]}  # fmt: skip
    await api.respond([sealed, message, {"role": "user", "content": "And?"}], store=False)
    generation = await in_thread(Generation.objects.latest, "created")
    assert generation.request["messages"][0]["reasoning"] == "Why not?"
    forged = {**sealed, "encrypted_content": "x"}
    status, body = await api.post(RESPONSES, {"model": "echo", "input": [forged]})
    assert (status, body["error"]["code"]) == (400, "invalid_encrypted_content")


async def test_it_goes_on_from_an_earlier_one(api: Api) -> None:
    """At once when that has ended, and over several; instructions are not carried over."""
    first = await api.respond("one", instructions="Be brief.")
    second = await api.respond("two", previous_response_id=first["id"])
    third = await api.respond("three", previous_response_id=second["id"], instructions="Be kind.")
    assert third["previous_response_id"] == second["id"]
    generation = await in_thread(Generation.objects.latest, "created")
    told = [(m["role"], m["content"]) for m in generation.request["messages"]]
    assert told == [
        ("system", "Be kind."),
        ("user", "one"), ("assistant", "one"),
        ("user", "two"), ("assistant", "two"),
        ("user", "three"),
    ]  # fmt: skip
    # An answer goes in with the tokens it was written with.
    assert generation.request["messages"][2]["tokens"]


async def test_a_conversation_has_no_holes(api: Api) -> None:
    first = await api.respond("one")
    second = await api.respond("two", previous_response_id=first["id"])
    await api.delete(f"{RESPONSES}/{first['id']}")
    asked = {"model": "echo", "input": "three", "previous_response_id": second["id"]}
    status, body = await api.post(RESPONSES, asked)
    assert status == 400
    assert body["error"]["code"] == "previous_response_not_found"
    assert body["error"]["param"] == "previous_response_id"
    assert first["id"] in body["error"]["message"]


async def test_input_items_come_in_pages(api: Api) -> None:
    first = await api.respond([{"role": "user", "content": word} for word in ("a", "b")])
    second = await api.respond("c", previous_response_id=first["id"])
    path = f"{RESPONSES}/{second['id']}/input_items"
    _, whole = await api.get(path, order="asc")
    Listed.model_validate_json(json.dumps(whole), strict=True)
    assert [item["content"][0]["text"] for item in whole["data"]] == ["a", "b", "b", "c"]
    assert [item["role"] for item in whole["data"]] == ["user", "user", "assistant", "user"]
    ids = [item["id"] for item in whole["data"]]
    assert len(set(ids)) == 4
    found: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        _, page = await api.get(path, **query)
        ResponseItemList.model_validate_json(json.dumps(page), strict=True)
        found += [item["id"] for item in page["data"]]
        assert (page["first_id"], page["last_id"]) == (page["data"][0]["id"], found[-1])
        if not page["has_more"]:
            break
        query["after"] = found[-1]
    assert found == ids[::-1]
    for wrong in (
        {"limit": 0},
        {"limit": 101},
        {"limit": "x"},
        {"limit": f"{1:09}000"},
        {"order": "up"},
        {"after": "x"},
    ):
        status, body = await api.get(path, **wrong)
        assert (status, body["error"]["param"]) == (400, next(iter(wrong)))


async def test_an_item_may_be_named(api: Api) -> None:
    """A reference is as good as the item itself; another person's is unknown."""
    made = await api.respond("one")
    named = {"type": "item_reference", "id": made["output"][0]["id"]}
    again = await api.respond([named, {"role": "user", "content": "two"}])
    _, items = await api.get(f"{RESPONSES}/{again['id']}/input_items", order="asc")
    assert items["data"][0] == made["output"][0]
    for id in (f"{named['id']}7", "msg_1", "x"):
        asked = {"model": "echo", "input": [{"type": "item_reference", "id": id}]}
        status, body = await api.post(RESPONSES, asked)
        assert (status, body["error"]["param"]) == (400, "input.0.id")


async def test_what_is_called_up_again_has_a_bound(api: Api, monkeypatch: Any) -> None:
    """A small body names no more than a large one could say, once or again and again."""
    monkeypatch.setattr(history, "BODY_BYTES", 4000)
    made = [await api.respond("x " * 50)]
    _, page = await api.get(f"{RESPONSES}/{made[0]['id']}/input_items")
    named = {"type": "item_reference", "id": page["data"][0]["id"]}
    for times, status in ((2, 200), (100, 400)):
        asked: dict[str, Any] = {"model": "echo", "input": [named] * times}
        asked["truncation"] = "auto"
        found, body = await api.post(RESPONSES, asked)
        assert found == status, body
    assert body["error"]["code"] == "context_length_exceeded"
    # Those that failed are stored, too.
    last = made[0]["id"]
    for _ in range(5):
        asked = {"model": "echo", "input": "x " * 700, "background": True}
        status, body = await api.post(RESPONSES, {**asked, "previous_response_id": last})
        if status != 200:
            break
        last = body["id"]
        await until_ended(api, last)
    error = body["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "previous_response_id")


async def until_ended(api: Api, id: str) -> None:
    async def ended() -> bool:
        _, body = await api.get(f"{RESPONSES}/{id}")
        return body["status"] not in {"queued", "in_progress"}

    await until(ended)


async def test_it_is_deleted_for_good(api: Api) -> None:
    made = await api.respond("secret")
    await save()
    path = f"{RESPONSES}/{made['id']}"
    assert await api.delete(path) == (
        200,
        {"id": made["id"], "object": "response", "deleted": True},
    )
    assert (await api.get(path))[0] == 404
    assert (await api.delete(path))[0] == 404
    assert not await in_thread(Generation.objects.exists)


async def test_one_that_is_written_goes_when_it_has_ended(api: Api, worker: EchoWorker) -> None:
    """It is gone at once for its owner; the row waits for its end, by which it is counted."""
    worker.open = False
    made = await api.respond("secret", background=True)
    assert (await api.delete(f"{RESPONSES}/{made['id']}"))[0] == 200
    assert (await api.get(f"{RESPONSES}/{made['id']}"))[0] == 404
    other = await api.respond("other", background=True)
    worker.open = True
    await save()
    await api.delete(f"{RESPONSES}/{other['id']}")
    await save()
    assert not await in_thread(Stored.objects.filter(generation__text="secret").exists)
    assert not await in_thread(
        Generation.objects.filter(pk=made["id"].removeprefix("resp_")).exists
    )


async def test_without_store_nothing_is_found(api: Api) -> None:
    made = await api.respond("Hello", store=False)
    assert made["store"] is False
    assert (await api.get(f"{RESPONSES}/{made['id']}"))[0] == 404
    assert not await in_thread(Stored.objects.exists)


async def test_r9_another_persons_is_unknown(api: Api, charlies: Api) -> None:
    made = await api.respond("mine", background=True)
    path = f"{RESPONSES}/{made['id']}"
    answers = [
        await charlies.get(path),
        await charlies.get(path, stream="true"),
        await charlies.get(f"{path}/input_items"),
        await charlies.post(f"{path}/cancel"),
        await charlies.delete(path),
    ]
    for status, body in answers:
        assert status == 404, body
        assert made["id"] in body["error"]["message"]
    asked = {"model": "echo", "input": "x", "previous_response_id": made["id"]}
    status, body = await charlies.post(RESPONSES, asked)
    assert (status, body["error"]["code"]) == (400, "previous_response_not_found")
    named = {"type": "item_reference", "id": f"msg_{made['id'][5:]}o0"}
    status, body = await charlies.post(RESPONSES, {"model": "echo", "input": [named]})
    assert (status, body["error"]["param"]) == (400, "input.0.id")
    assert (await api.get(path))[0] == 200


async def test_another_key_of_the_same_person_finds_it(api: Api, bob: User) -> None:
    made = await api.respond("mine")
    _, text = await in_thread(keys.make_key, bob, "another")
    assert (await Api(text).get(f"{RESPONSES}/{made['id']}"))[0] == 200


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": [{"type": "web_search_call", "id": "x"}]}, "input.0.type"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input.0.role"),
        ({"input": [{"role": "user"}]}, "input.0.content"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
         "input.0.content.0"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
         "input.0.content.0"),
        ({"input": [{"type": "function_call", "call_id": "c", "name": "f"}]}, "input.0.arguments"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, "input"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"tools": [{"type": "function", "name": ""}]}, "tools.0.name"),
        ({"tools": [{"type": "function", "name": "auto"}]}, "tools.0.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice"),
        ({"tools": [NOW], "tool_choice": {"type": "function", "name": "then"}}, "tool_choice"),
        ({"background": True, "store": False}, "store"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options"),
        ({"include": ["everything"]}, "include.0"),
        ({"metadata": {"x" * 65: "y"}}, None),
        ({"metadata": {"x": "y" * 513}}, "metadata.x"),
        ({"metadata": {str(n): "y" for n in range(17)}}, "metadata"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"n": 2}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"truncation": "some"}, "truncation"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"reasoning": {"effort": "wild"}}, "reasoning.effort"),
        ({"reasoning": {"summary": "detailed"}}, "reasoning.summary"),
        ({"chat_template_kwargs": {"chat_template": "x"}}, "chat_template_kwargs"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"model": "gpt-9"}, "model"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
async def test_what_cannot_be_done_is_named(
    api: Api, fields: dict[str, Any], param: str | None
) -> None:
    status, body = await api.post(RESPONSES, {"model": "echo", "input": "Hello", **fields})
    assert status == (404 if param == "model" else 400), body
    assert param is None or body["error"]["param"] == param
    assert not await in_thread(Generation.objects.exists)


async def test_what_sdks_send_along_is_taken(api: Api) -> None:
    made = await api.respond(
        "Hello", user="x", safety_identifier="y", prompt_cache_key="z", service_tier="auto",
        truncation="auto", parallel_tool_calls=False, max_tool_calls=3, top_p=0.9, seed=7,
        reasoning={"effort": "low", "summary": "auto"}, include=["web_search_call.results"],
        text={"verbosity": "low", "format": {"type": "text"}}, tools=[NOW],
        tool_choice={"type": "allowed_tools", "mode": "auto",
                     "tools": [{"type": "function", "name": "now"}]},
        prompt_cache_retention="24h", instructions=None, conversation=None,
    )  # fmt: skip
    assert made["user"] == "x"
    assert made["tools"][0]["name"] == "now"
    assert made["reasoning"]["effort"] == "low"


async def test_a_prompt_that_is_too_long_leaves_nothing_behind(api: Api) -> None:
    for fields in ({}, {"stream": True}):
        status, body = await api.post(RESPONSES, {"model": "echo", "input": "x " * 300, **fields})
        assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
        assert body["error"]["param"] == "input"
        assert not await in_thread(Stored.objects.filter(gone=False).exists)


async def test_in_the_background_it_fails_as_a_response(api: Api) -> None:
    events = await api.stream("x " * 300, background=True)
    assert [event["type"].removeprefix("response.") for event in events] == [
        *("created", "queued", "in_progress", "failed"),
    ]
    failed = events[-1]["response"]
    assert failed["error"]["code"] == "invalid_prompt"
    assert await api.get(f"{RESPONSES}/{failed['id']}") == (200, failed)


async def test_an_answer_that_is_cut_is_incomplete(api: Api) -> None:
    made = await api.respond("one two three four", max_output_tokens=2)
    assert made["status"] == "incomplete"
    assert made["incomplete_details"] == {"reason": "max_output_tokens"}
    assert made["output"][0]["status"] == "incomplete"
