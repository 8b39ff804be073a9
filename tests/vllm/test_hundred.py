"""A site with a vLLM worker, asked through the API by the official client: a hundred at once, each
its own; streams, objects, calls of tools, and an answer that nobody waits for any more."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

import psutil
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.live import Site
from tests.running.asking import ENDLESS, HELLO, count, said, wait_idle

MODEL, COUNT, TOKENS = "tiny", 100, 12
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


class Colour(BaseModel):
    colour: Literal["red", "green"]


@pytest.fixture(scope="module")
def key(office: Site) -> str:
    office.person("alice")
    return office.manage("apikey", "alice", "--name", "vllm").strip()


@pytest.fixture
async def calling(office: Site, key: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{office.url}/v1", api_key=key, max_retries=0, timeout=240
    ) as client:
        yield client


def question(number: int) -> dict[str, Any]:
    text = f"Bob has {number} apples and buys {number * 7 % 50} more."
    return {"model": MODEL, "messages": said(text), "max_tokens": TOKENS, "seed": number}


async def tell(calling: AsyncOpenAI, number: int) -> str:
    answer = await calling.chat.completions.create(**question(number))
    return answer.choices[0].message.content or ""


async def read(calling: AsyncOpenAI, number: int) -> str:
    stream = await calling.chat.completions.create(stream=True, **question(number))
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def test_it_works(calling: AsyncOpenAI) -> None:
    """One, so that the model is loaded when the hundred come."""
    began = time.monotonic()
    answer = await calling.chat.completions.create(**question(1), logprobs=True, top_logprobs=2)
    print(f"Loaded and answered in {time.monotonic() - began:.0f} s.")
    choice = answer.choices[0]
    assert choice.message.content
    assert answer.usage
    assert answer.usage.completion_tokens == TOKENS
    assert choice.logprobs
    assert len(choice.logprobs.content or []) == TOKENS


async def test_a_hundred_at_once(calling: AsyncOpenAI) -> None:
    """All return, streams and whole answers, each what was asked."""
    began = time.monotonic()
    ways = (tell, read)
    told = await asyncio.gather(*(ways[number % 2](calling, number) for number in range(COUNT)))
    print(f"100 at once: {time.monotonic() - began:.1f} s.")
    assert all(told)
    # Some begin alike: there are only so many words to begin with.
    assert len(set(told)) > COUNT * 0.7


async def test_each_gets_exactly_its_own(calling: AsyncOpenAI) -> None:
    """What is said is known beforehand, so that not one letter may come from another's."""

    async def ask(number: int) -> str:
        word = f"call {number} done"
        answer = await calling.chat.completions.create(
            model=MODEL, messages=HELLO, extra_body={"guided_choice": [word]}
        )
        return answer.choices[0].message.content or ""

    # Each form is tried before it is used, so fewer of them.
    told = await asyncio.gather(*(ask(number) for number in range(COUNT // 4)))
    assert told == [f"call {number} done" for number in range(COUNT // 4)]


async def test_an_answer_is_an_object(calling: AsyncOpenAI) -> None:
    answer = await calling.chat.completions.parse(
        model=MODEL, messages=said("Which colour?"), response_format=Colour, temperature=0
    )
    assert isinstance(answer.choices[0].message.parsed, Colour)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_tool_is_called(calling: AsyncOpenAI, stream: bool) -> None:
    asked: Any = {"model": MODEL, "messages": said("How is the weather in Oslo?"), "seed": 3}
    asked |= {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 200}
    # This small one would call again and again.
    asked["parallel_tool_calls"] = False
    if stream:
        async with calling.chat.completions.stream(**asked) as events:
            async for _ in events:
                pass
            answer = await events.get_final_completion()
    else:
        answer = await calling.chat.completions.create(**asked)
    (choice,) = answer.choices
    assert choice.finish_reason == "tool_calls"
    call = (choice.message.tool_calls or [])[0]
    assert call.type == "function"
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"] in {"Oslo", "Rome"}


async def test_an_answer_that_is_left_is_stopped(office: Site, calling: AsyncOpenAI) -> None:
    await asyncio.to_thread(wait_idle, office)
    stopped = await asyncio.to_thread(count, office, "stopped")
    others = [asyncio.create_task(tell(calling, number)) for number in range(8)]
    stream = await calling.chat.completions.create(
        model=MODEL, messages=HELLO, stream=True, **ENDLESS
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    await stream.close()
    assert all(await asyncio.gather(*others))
    await asyncio.to_thread(wait_idle, office)
    assert await asyncio.to_thread(count, office, "stopped") == stopped + 1


async def test_vllm_that_is_told_to_end_gives_its_answers_back(
    office: Site, calling: AsyncOpenAI
) -> None:
    """The system tells every process to end before it shuts down, also those below the engine."""
    ask = question(5) | {"max_tokens": 200, "extra_body": {"ignore_eos": True}}
    stream = await calling.chat.completions.create(stream=True, **ask)
    text, told, reason = "", 0, None
    async for chunk in stream:
        text += chunk.choices[0].delta.content or ""
        reason = chunk.choices[0].finish_reason or reason
        if not told and len(text) > 20:
            ours = psutil.Process().children(recursive=True)
            cores = [each for each in ours if "EngineCore" in title(each)]
            told = len(cores)
            for core in cores:
                core.terminate()
    assert told
    assert reason == "length"


def title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
