"""The example of an engine of one's own, with real weights: a worker that has it in its settings
answers through the API, and stops when nobody reads any more."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from openai import OpenAI

from tests.live import ROOT, Site
from tests.running.asking import HELLO, count, wait_idle
from tests.vllm import environment
from tests.vllm.serving import ADD, broker_of
from tests.workers import Worker

MODEL = "own"
EXAMPLES = str(ROOT / "docs" / "examples")
ENGINES = "transformers=transformers_engine:TransformersEngine"


@pytest.fixture(scope="module")
def site(safetensors: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Only its second worker knows the engine; its first has not even torch."""
    product = Site(python=environment.site_python())
    worker = None
    try:
        product.start()
        url = broker_of(product)
        data = tmp_path_factory.mktemp("own-worker")
        worker = Worker(
            url, data, python=environment.python(), PYTHONPATH=EXAMPLES, CHATSITE_ENGINES=ENGINES
        ).start()
        with redis.Redis.from_url(url) as client:
            worker.wait(client)
        row = {"engine": "transformers", "source": {"path": str(safetensors)}}
        row |= {"settings": {"context_length": 1024}}
        product.shell(ADD, NAME=MODEL, ROW=json.dumps(row))
        yield product
    finally:
        if worker is not None:
            worker.remove()
            # Seen where a test fails.
            print(worker.log()[-10_000:])
        product.remove()


@pytest.fixture(scope="module")
def calling(site: Site) -> Iterator[OpenAI]:
    site.person("alice")
    key = site.manage("apikey", "alice", "--name", "own").strip()
    with OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0, timeout=60) as client:
        yield client


def test_it_works(calling: OpenAI) -> None:
    stream = calling.chat.completions.create(
        model=MODEL, messages=HELLO, max_tokens=80, temperature=0, stream=True
    )
    choices = [choice for chunk in stream for choice in chunk.choices]
    pieces = [choice.delta.content for choice in choices if choice.delta.content]
    assert len(pieces) > 1
    assert "Bob" in "".join(pieces)
    assert choices[-1].finish_reason == "stop"


def test_an_answer_that_is_left_is_stopped(site: Site, calling: OpenAI) -> None:
    wait_idle(site)
    stopped = count(site, "stopped")
    with calling.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Write a long story about the sea."}],
        max_tokens=900,
        stream=True,
    ) as stream:
        next(chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
    wait_idle(site)
    assert count(site, "stopped") == stopped + 1
    began = time.monotonic()
    again = calling.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=4)
    assert again.choices[0].finish_reason == "length"
    assert time.monotonic() - began < 20
