"""Vectors and tokens by the official `openai` client, and the reference's samples as programs."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import openai
import pytest
from openai import OpenAI

from tests.live import Site
from tests.running.talking import STARTER

pytestmark = pytest.mark.live

EMBEDDER = """
from chatsite.catalogue.models import Model
Model.objects.get_or_create(name="vectors", defaults={
    "engine": "llamacpp-embed", "settings": {"context_length": 64, "threads": 1},
    "source": Model.objects.get(name="smollm2-135m-instruct").source})
"""
SAMPLE = re.compile(r'<pre id="post-v1-chat-completions-(\w+)"[^>]*><code>(.*?)</code>', re.DOTALL)


@pytest.fixture(scope="module")
def key(site: Site) -> str:
    site.wait_ready()
    site.person("bob")
    site.shell(EMBEDDER)
    return site.manage("apikey", "bob").strip()


@pytest.fixture
def client(site: Site, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0) as client:
        yield client


def test_it_works(client: OpenAI) -> None:
    # The client asks for base64 by itself, and makes numbers of it.
    told = client.embeddings.create(model="vectors", input=["A cat sleeps.", "A kitten naps."])
    plain = client.embeddings.create(
        model="vectors", input=["A cat sleeps.", "A kitten naps."], encoding_format="float"
    )
    assert [each.index for each in told.data] == [0, 1]
    for one, other in zip(told.data, plain.data, strict=True):
        assert len(one.embedding) == 576
        assert np.linalg.norm(one.embedding) == pytest.approx(1, abs=1e-3)
        assert one.embedding == pytest.approx(other.embedding, abs=2e-3)
    assert told.usage.prompt_tokens == told.usage.total_tokens > 4
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=STARTER, input="A cat sleeps.")
    assert (refused.value.code, refused.value.param) == ("wrong_model", "model")


def test_tokens_are_those_that_are_counted(client: OpenAI) -> None:
    messages = [{"role": "user", "content": "Say hello to Bob."}]
    told = client.post("/tokenize", cast_to=object, body={"model": STARTER, "messages": messages})
    answer = client.chat.completions.create(
        model=STARTER,
        messages=messages,  # type: ignore[arg-type]
        max_tokens=1,
    )
    assert isinstance(told, dict)
    assert answer.usage
    assert told["count"] == answer.usage.prompt_tokens
    back = client.post(
        "/detokenize", cast_to=object, body={"model": STARTER, "tokens": told["tokens"]}
    )
    assert isinstance(back, dict)
    assert "Say hello to Bob." in back["prompt"]


def test_the_references_samples_run(site: Site, key: str) -> None:
    page = site.person("bob").get("/reference/").text
    samples = {name: html.unescape(code) for name, code in SAMPLE.findall(page)}
    assert samples.keys() == {"curl", "python", "node"}
    for command in (["sh", "-ec", samples["curl"]], [sys.executable, "-c", samples["python"]]):
        done = subprocess.run(
            command,
            env={**os.environ, "OPENAI_API_KEY": key},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert "assistant" in done.stdout
