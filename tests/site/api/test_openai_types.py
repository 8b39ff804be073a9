"""The official client's types take every body that is sent, strictly: no field is missing, none has
another type, and none is there that they do not know."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest
from django.test import AsyncClient
from openai.types import Completion, ErrorObject, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("worker")]
Kind = TypeVar("Kind", bound=BaseModel)
# What we tell beyond OpenAI's fields, as other servers of open models do.
OURS = {"reasoning_content"}
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
NOW: dict[str, Any] = {"name": "now", "parameters": {"type": "object", "properties": {}}}
CALL = '<tool_call>{"name": "now", "arguments": {"zone": "UTC"}}</tool_call>'
TEXTS = (
    "Hello, Bob",
    "你好 🙂 é \u2028 end",
    "<think>Why not?</think>Because.",
    f"Look: {CALL}",
    CALL,
    f"{CALL}\n{CALL}",
    "stop here please",
    "",
)
TOOLS: tuple[dict[str, Any], ...] = (
    {},
    {"tools": [{"type": "function", "function": NOW}]},
    {"tools": [{"type": "function", "function": NOW}], "tool_choice": "none"},
    {"functions": [NOW], "function_call": "auto"},
)
# What each parameter may be; None: left out.
SPACE: dict[str, tuple[Any, ...]] = {
    "n": (None, 1, 3),
    "max_tokens": (None, 1, 2, 10**12),
    "stop": (None, "here", ["x", "please"]),
    "service_tier": (None, "auto", "flex"),
    "seed": (None, 0, -1),
    "temperature": (None, 0, 2),
    "user": (None, "someone"),
    "metadata": (None, {"topic": "x"}),
    "logit_bias": (None, {"5": -100, "123456789": 1}),
}
OPTIONS: tuple[Any, ...] = (
    None,
    {},
    {"include_usage": True},
    {"include_obfuscation": True, "include_usage": True},
)


async def post(path: str, key: str, fields: dict[str, Any]) -> tuple[int, list[str]]:
    """The status, and the body or the data of all events."""
    answer: Any = await AsyncClient().post(
        path,
        json.dumps(fields),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    if not answer.streaming:
        return answer.status_code, [answer.content.decode()]
    body = b"".join([part async for part in answer]).decode()
    events = [event for event in body.split("\n\n") if event and not event.startswith(":")]
    assert all(event.startswith("data: ") for event in events)
    return answer.status_code, [event.removeprefix("data: ") for event in events]


def strictly(kind: type[Kind], body: str) -> Kind:
    found = kind.model_validate_json(body, strict=True)
    assert sorted(unknown(found)) == []
    return found


def unknown(value: Any) -> Iterator[str]:
    """Fields that the types do not have, however deep."""
    if isinstance(value, BaseModel):
        yield from (name for name in value.model_extra or {} if name not in OURS)
        for name in type(value).model_fields:
            yield from unknown(getattr(value, name))
    elif isinstance(value, list):
        for each in value:
            yield from unknown(each)


def drawn(draw: random.Random) -> dict[str, Any]:
    fields = {name: draw.choice(values) for name, values in SPACE.items()}
    return {name: value for name, value in fields.items() if value is not None}


def chats(count: int) -> list[dict[str, Any]]:
    """Every text with every way to offer tools, and otherwise by chance."""
    draw = random.Random(7)
    found = []
    for number in range(count):
        text, tools = TEXTS[number % len(TEXTS)], TOOLS[number // len(TEXTS) % len(TOOLS)]
        hello = [{"role": "user", "content": text}]
        fields: dict[str, Any] = {"model": "echo", "messages": hello}
        fields |= drawn(draw) | tools
        if draw.random() < 0.5:
            fields |= {"logprobs": True, "top_logprobs": draw.choice((0, 1, 20))}
        found.append(fields)
    return found


async def test_it_works(key: str) -> None:
    """Whole answers over the whole space of parameters."""
    for fields in chats(64):
        status, (body,) = await post(CHAT, key, fields)
        assert status == 200, (fields, body)
        answer = strictly(ChatCompletion, body)
        assert [choice.index for choice in answer.choices] == list(range(fields.get("n", 1)))
        assert ("service_tier" in fields) == (answer.service_tier == "default")
        for choice in answer.choices:
            assert (choice.logprobs is not None) == ("logprobs" in fields)
            called = choice.message.tool_calls or choice.message.function_call
            assert (choice.finish_reason in {"tool_calls", "function_call"}) <= bool(called)


async def test_every_chunk_of_a_stream(key: str) -> None:
    """The same over streams, which add up to the same answer."""
    draw = random.Random(11)
    for fields in chats(64):
        options = draw.choice(OPTIONS)
        status, events = await post(
            CHAT, key, {**fields, "stream": True, "stream_options": options}
        )
        assert status == 200, (fields, events)
        assert events.pop() == "[DONE]"
        chunks = [strictly(ChatCompletionChunk, event) for event in events]
        usage = bool(options and options.get("include_usage"))
        assert [chunk.usage is not None for chunk in chunks[:-1]] == [False] * (len(chunks) - 1)
        assert (chunks[-1].usage is not None) == usage
        whole = strictly(ChatCompletion, (await post(CHAT, key, fields))[1][0])
        assert added(chunks) == [told(choice) for choice in whole.choices]
        if options and options.get("include_obfuscation"):
            pieces = [event for event in events if '"choices":[{' in event]
            assert len({len(event.encode()) % 64 for event in pieces}) == 1


def told(choice: Any) -> dict[str, Any]:
    message = choice.message
    calls = [(c.id[-1], c.function.name, c.function.arguments) for c in message.tool_calls or ()]
    if message.function_call:
        calls = [("old", message.function_call.name, message.function_call.arguments)]
    tokens = [each.token for each in choice.logprobs.content] if choice.logprobs else []
    return {
        "text": message.content or "",
        "reasoning": (message.model_extra or {}).get("reasoning_content", ""),
        "calls": calls,
        "tokens": tokens,
        "reason": choice.finish_reason,
    }


def added(chunks: list[ChatCompletionChunk]) -> list[dict[str, Any]]:
    """The choices of a stream, put together as a client does."""
    found: dict[int, dict[str, Any]] = {}
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        if choice.index not in found:
            # The first piece of each says who speaks.
            assert choice.delta.role == "assistant"
            found[choice.index] = {"text": "", "reasoning": "", "calls": [], "tokens": []}
        said, delta = found[choice.index], choice.delta
        assert "reason" not in said
        said["text"] += delta.content or ""
        said["reasoning"] += (delta.model_extra or {}).get("reasoning_content", "")
        said["tokens"] += [
            each.token for each in (choice.logprobs and choice.logprobs.content) or ()
        ]
        for call in delta.tool_calls or ():
            add_call(said["calls"], call.index, (call.id or "")[-1:], call.function)
        if delta.function_call:
            add_call(said["calls"], 0, "old", delta.function_call)
        if choice.finish_reason:
            said["reason"] = choice.finish_reason
    return [found[index] for index in sorted(found)]


def add_call(calls: list[Any], index: int, mark: str, function: Any) -> None:
    if index == len(calls):
        calls.append((mark, function.name, ""))
    head, name, arguments = calls[index]
    calls[index] = (head, name, arguments + (function.arguments or ""))


async def test_plain_completions(key: str) -> None:
    draw = random.Random(13)
    for number in range(24):
        prompts = [TEXTS[number % len(TEXTS)] or "Once", "Twice upon a time"]
        fields: dict[str, Any] = {"model": "echo", "prompt": prompts, **drawn(draw)}
        for chatty in ("service_tier", "metadata"):
            fields.pop(chatty, None)
        fields |= draw.choice(({}, {"logprobs": 3}, {"echo": True}))
        status, (body,) = await post(TEXT, key, fields)
        assert status == 200, (fields, body)
        whole = strictly(Completion, body)
        options = {"stream": True, "stream_options": {"include_usage": True}}
        status, events = await post(TEXT, key, {**fields, **options})
        assert events.pop() == "[DONE]"
        texts = [""] * len(whole.choices)
        for event in events:
            # A piece has no reason to have ended; the types know whole answers only.
            chunk = json.loads(event)
            for choice in chunk["choices"]:
                choice["finish_reason"] = choice["finish_reason"] or "stop"
            for piece in strictly(Completion, json.dumps(chunk)).choices:
                texts[piece.index] += piece.text
        assert texts == [choice.text for choice in whole.choices]


async def test_errors_and_models(key: str) -> None:
    wrong: list[dict[str, Any]] = [
        {"messages": []},
        {"model": "gpt-9"},
        {"temperature": 3},
        {"messages": [{"role": "user", "content": "x " * 300}]},
    ]
    for fields in wrong:
        whole = {"model": "echo", "messages": [{"role": "user", "content": "x"}], **fields}
        for stream in (False, True):
            status, (body,) = await post(CHAT, key, {**whole, "stream": stream})
            assert status in {400, 404}
            strictly(ErrorObject, json.dumps(json.loads(body)["error"]))
    headers = {"Authorization": f"Bearer {key}"}
    models = json.loads((await AsyncClient().get("/v1/models", headers=headers)).content)
    assert set(models) == {"object", "data"}
    assert [strictly(Model, json.dumps(each)).id for each in models["data"]] == ["echo"]
