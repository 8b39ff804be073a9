"""A hundred at once on real weights: all return, each its own text, and the web part holds neither
threads nor database connections for them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import psutil
import pytest
from openai import AsyncOpenAI

from tests.live import Site
from tests.running.asking import ENDLESS, count, said, wait_idle
from tests.running.talking import STARTER

pytestmark = pytest.mark.live
COUNT, TOKENS = 100, 6
# What is asked alone as well, to compare with.
SAMPLE = range(0, COUNT, 20)


@dataclass(slots=True)
class Held:
    """The most that the web part held at any moment."""

    threads: int = 0
    connections: int = 0

    def look(self, web: psutil.Process) -> None:
        self.threads = max(self.threads, web.num_threads())
        files = [file.path for file in web.open_files()]
        self.connections = max(self.connections, sum(path.endswith("sqlite3") for path in files))


@pytest.fixture
async def calling(site: Site, key: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=f"{site.url}/v1", api_key=key, max_retries=0, timeout=120
    ) as client:
        yield client


@contextlib.asynccontextmanager
async def watched(site: Site) -> AsyncIterator[Held]:
    held, web = Held(), psutil.Process(site.pid("web"))

    async def watch() -> None:
        while True:
            held.look(web)
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    yield held
    watching.cancel()


def question(number: int) -> dict[str, Any]:
    text = f"Bob has {number} apples and buys {number * 7 % 50} more."
    # Drawn, so that each differs, and by a seed, so that it is the same again.
    return {"messages": said(text), "max_tokens": TOKENS, "seed": number}


async def tell(calling: AsyncOpenAI, model: str = STARTER, **asked: Any) -> str:
    answer = await calling.chat.completions.create(model=model, **asked)
    return answer.choices[0].message.content or ""


async def read(calling: AsyncOpenAI, model: str = STARTER, **asked: Any) -> str:
    stream = await calling.chat.completions.create(model=model, stream=True, **asked)
    return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])


async def leave(site: Site, calling: AsyncOpenAI) -> None:
    """One more in the middle of them, whose reader is soon gone."""
    stream = await calling.chat.completions.create(
        model=STARTER, messages=said("Tell me everything."), stream=True, **ENDLESS
    )
    await asyncio.sleep(2)
    await stream.close()


async def test_it_works(site: Site, calling: AsyncOpenAI) -> None:
    """Streams, then whole answers: the same texts, whoever else asks meanwhile."""
    await asyncio.to_thread(wait_idle, site)
    alone = {number: await tell(calling, **question(number)) for number in SAMPLE}
    began = time.monotonic()
    async with watched(site) as streaming:
        streamed, _ = await asyncio.gather(
            asyncio.gather(*(read(calling, **question(number)) for number in range(COUNT))),
            leave(site, calling),
        )
    middle = time.monotonic()
    async with watched(site) as waiting:
        whole = await asyncio.gather(*(tell(calling, **question(n)) for n in range(COUNT)))
    end = time.monotonic()
    print(f"100 streams: {middle - began:.0f} s, {streaming}; 100 waiting: {end - middle:.0f} s, "
          f"{waiting}.")  # fmt: skip
    assert whole == streamed
    assert {number: whole[number] for number in SAMPLE} == alone
    assert all(whole)
    # Some begin alike: there are only so many words to begin with.
    assert len(set(whole)) > COUNT * 0.7
    for held in (streaming, waiting):
        assert 0 < held.threads < 40
        assert held.connections < 20
    await asyncio.to_thread(wait_idle, site)


async def test_each_gets_exactly_its_own(site: Site, calling: AsyncOpenAI) -> None:
    """What is said is known beforehand, so that not one letter may come from another's."""
    texts = [f"call {number} " + "again and " * 20 + "done" for number in range(COUNT)]
    async with watched(site) as held:
        ways = (tell, read)
        told = await asyncio.gather(
            *(ways[n % 2](calling, "echo", messages=said(text)) for n, text in enumerate(texts))
        )
    assert told == texts
    assert 0 < held.threads < 40


async def test_one_that_is_left_is_stopped_alone(site: Site, calling: AsyncOpenAI) -> None:
    """A caller who waits for a whole answer and hangs up; the others get theirs."""
    await asyncio.to_thread(wait_idle, site)
    stopped = await asyncio.to_thread(count, site, "stopped")
    others = [asyncio.create_task(tell(calling, **question(number))) for number in range(20)]
    asked = calling.chat.completions.create(model=STARTER, messages=said("Tell me."), **ENDLESS)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2):
            await asked
    assert all(await asyncio.gather(*others))
    await asyncio.to_thread(wait_idle, site)
    assert await asyncio.to_thread(count, site, "stopped") == stopped + 1
