"""The official client's async half: many things at once, and what happens when somebody leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.live import Site
from tests.running.asking import ENDLESS, HELLO, WORDS, count, said, wait_idle
from tests.running.talking import STARTER

pytestmark = pytest.mark.live
SHORT: dict[str, Any] = {"model": STARTER, "messages": HELLO, "max_tokens": 12, "seed": 7}


class Colour(BaseModel):
    colour: Literal["red", "green"]


@pytest.fixture
async def calling(site: Site, key: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{site.url}/v1", api_key=key, max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


async def test_it_works(calling: AsyncOpenAI) -> None:
    whole = await calling.chat.completions.create(**SHORT)
    stream = await calling.chat.completions.create(**SHORT, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == whole.choices[0].message.content
    async with calling.chat.completions.stream(
        model=STARTER, messages=HELLO, seed=7, extra_body=WORDS
    ) as events:
        kinds = {event.type async for event in events}
        final = await events.get_final_completion()
    assert kinds >= {"chunk", "content.delta", "content.done"}
    assert len(final.choices[0].message.content or "") == 30


async def test_an_answer_is_an_object(calling: AsyncOpenAI) -> None:
    answer = await calling.chat.completions.parse(
        model=STARTER, messages=said("Which colour?"), response_format=Colour, temperature=0
    )
    assert isinstance(answer.choices[0].message.parsed, Colour)


async def test_a_stream_that_is_left_frees_its_slot(site: Site, calling: AsyncOpenAI) -> None:
    await asyncio.to_thread(wait_idle, site)
    stopped = await asyncio.to_thread(count, site, "stopped")
    async with calling.chat.completions.stream(model=STARTER, messages=HELLO, **ENDLESS) as events:
        async for event in events:
            if event.type == "content.delta":
                break
    await asyncio.to_thread(wait_idle, site)
    assert await asyncio.to_thread(count, site, "stopped") == stopped + 1


async def test_a_caller_that_leaves_while_it_waits_stops_the_answer(
    site: Site, calling: AsyncOpenAI
) -> None:
    await asyncio.to_thread(wait_idle, site)
    stopped = await asyncio.to_thread(count, site, "stopped")
    asked = calling.chat.completions.create(model=STARTER, messages=HELLO, **ENDLESS)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await asked
    await asyncio.to_thread(wait_idle, site)
    assert await asyncio.to_thread(count, site, "stopped") == stopped + 1


async def test_different_calls_at_once(calling: AsyncOpenAI) -> None:
    """Each gets its own, also where they differ in everything."""
    alone = [await each for each in mixed(calling)]
    together = await asyncio.gather(*mixed(calling))
    assert [found.choices[0].message.content for found in together] == [
        found.choices[0].message.content for found in alone
    ]


def mixed(calling: AsyncOpenAI) -> list[Any]:
    create = calling.chat.completions.create
    return [
        create(**SHORT),
        create(**{**SHORT, "temperature": 0, "logprobs": True}),
        create(**SHORT, extra_body={"guided_choice": ["red", "green"]}),
        create(**SHORT, extra_body={"top_k": 3, "repetition_penalty": 1.3}),
        create(model="echo", messages=said("one two three")),
    ]
