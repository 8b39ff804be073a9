"""An engine of somebody's own on the running site: an admin adds its model by a page, it answers in
the chat and through the API, goes on behind its death, and is missed where it is not there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.live import Person, Site
from tests.running.asking import count, said, wait_idle
from tests.running.talking import log_position, read_log, say

pytestmark = pytest.mark.live
ENGINES = "counting=tests.inference.own:Counting,gone=tests.inference.own:Nobody"
NUMBERS = " ".join(map(str, range(1, 31)))


@pytest.fixture(scope="module")
def own() -> Iterator[Site]:
    product = Site(CHATSITE_ENGINES=ENGINES)
    try:
        yield product.start()
    finally:
        product.remove()


@pytest.fixture(scope="module")
def alice(own: Site) -> Person:
    person = own.person("alice")
    for engine in ("counting", "gone"):
        told = {"name": f"my-{engine}", "engine": engine, "source": "{}"}
        answer = person.post("/settings/models/own", **told, settings='{"delay_ms": 60}')
        assert answer.status == 200
        assert f"my-{engine}" in answer.text
    return person


@pytest.fixture(scope="module")
def client(own: Site, alice: Person) -> Iterator[OpenAI]:
    key = own.manage("apikey", "alice", "--name", "tests").strip()
    with OpenAI(base_url=f"{own.url}/v1", api_key=key, max_retries=0, timeout=60) as client:
        yield client


def test_it_works(own: Site, alice: Person, client: OpenAI) -> None:
    assert "my-counting" in alice.get("/chat/").text
    machines = alice.get("/settings/machines").text
    assert "counting" in machines
    assert "gone" in machines
    answer = say(alice, "Count, please.", model="my-counting")
    assert answer.wait_closed(30) == "done"
    assert answer.saved() == NUMBERS
    asked: dict[str, Any] = {"model": "my-counting", "messages": said("Count."), "max_tokens": 5}
    whole = client.chat.completions.create(**asked)
    # It keeps to no limit: one piece behind the last token is heard, and it is stopped.
    assert whole.choices[0].message.content == "1 2 3 4 5 6"
    assert whole.choices[0].finish_reason == "length"
    assert whole.usage
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (1, 5)
    chunks = list(client.chat.completions.create(**asked, stream=True))
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == "1 2 3 4 5 6"


def test_its_death_repeats_nothing(own: Site, alice: Person) -> None:
    answer = say(alice, "Count again.", model="my-counting")
    until = time.monotonic() + 20
    while log_position(own, answer.generation) < 5:
        assert time.monotonic() < until
        time.sleep(0.02)
    for pid in own.engines():
        os.kill(pid, signal.SIGKILL)
    assert answer.wait_closed(30) == "done"
    assert answer.saved() == NUMBERS
    assert read_log(own, answer.generation).positions == list(range(1, 31))


def test_a_reader_that_leaves_stops_it(own: Site, client: OpenAI) -> None:
    wait_idle(own)
    stopped = count(own, "stopped")
    stream = client.chat.completions.create(model="my-counting", messages=said("Go"), stream=True)
    next(chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
    stream.close()
    wait_idle(own)
    assert count(own, "stopped") == stopped + 1


def test_one_that_cannot_be_imported_is_told(alice: Person, client: OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as missing:
        client.chat.completions.create(model="my-gone", messages=said("Hello"))
    assert missing.value.code == "engine_missing"
    answer = say(alice, "Hello", model="my-gone")
    assert answer.wait_closed(30) == "failed"
    assert 'data-kind="engine_missing"' in answer.thread()
