"""Limits and repeated requests against the running product, with the official client."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.live import Site
from tests.running.talking import STARTER

pytestmark = pytest.mark.live

HELLO: list[Any] = [{"role": "user", "content": "Tell me a story of a lighthouse."}]
LIMIT = """
import os
from chatsite.accounts.models import User
from chatsite.metering import actions
names = ("tokens_per_day", "requests_per_day", "requests_per_minute")
amounts = {name: int(os.environ[name]) if name in os.environ else None for name in names}
actions.set_person_limits(User.objects.get(username="charlie"), amounts)
"""
COUNT = """
from chatsite.gateway.models import Generation
print(Generation.objects.filter(owner__username="charlie").count())
"""


@pytest.fixture(scope="module")
def key(site: Site) -> str:
    site.wait_ready()
    # The first admin is there, so that nobody else is taken for the owner of this machine.
    site.person("alice")
    site.person("charlie")
    return site.manage("apikey", "charlie", "--name", "limits").strip()


@pytest.fixture
def client(site: Site, key: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0, timeout=120) as client:
        yield client
    site.shell(LIMIT)


def count(site: Site) -> int:
    return int(site.shell(COUNT))


def test_it_works(site: Site, client: OpenAI) -> None:
    site.shell(LIMIT, requests_per_minute="1000", tokens_per_day="1000000")
    raw = client.chat.completions.with_raw_response.create(model="echo", messages=HELLO)
    assert raw.headers["x-ratelimit-limit-requests"] == "1000"
    assert int(raw.headers["x-ratelimit-remaining-tokens"]) > 0
    site.shell(LIMIT, tokens_per_day="0")
    before = count(site)
    with pytest.raises(openai.RateLimitError) as refused:
        client.chat.completions.create(model="echo", messages=HELLO)
    assert refused.value.code == "insufficient_quota"
    assert int(refused.value.response.headers["Retry-After"]) > 0
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="echo", messages=HELLO, stream=True)
    assert count(site) == before


def test_the_client_does_not_knock_again_for_a_day(site: Site, key: str) -> None:
    site.shell(LIMIT, requests_per_day="0")
    began = time.monotonic()
    with (
        OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=5) as client,
        pytest.raises(openai.RateLimitError),
    ):
        client.chat.completions.create(model="echo", messages=HELLO)
    assert time.monotonic() - began < 3
    site.shell(LIMIT)


@pytest.mark.parametrize("stream", [False, True])
def test_a_repeat_after_the_web_part_died_generates_nothing_anew(
    site: Site, client: OpenAI, stream: bool
) -> None:
    """The same request again is answered by what was being written when the web part died."""
    site.wait_ready()
    before = count(site)
    once = {"Idempotency-Key": f"story-{stream}"}
    asked: dict[str, Any] = {
        "model": STARTER,
        "messages": HELLO,
        "max_tokens": 120,
        "seed": 5,
        "extra_headers": once,
        "extra_body": {"ignore_eos": True},
    }
    lost: list[Exception] = []

    def ask() -> None:
        try:
            if stream:
                list(client.chat.completions.create(**asked, stream=True))
            else:
                client.chat.completions.create(**asked)
        except (openai.OpenAIError, OSError) as error:
            lost.append(error)
        except Exception as error:  # noqa: BLE001 - the transport's own, when a stream is cut
            lost.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    until = time.monotonic() + 20
    while count(site) == before:
        assert time.monotonic() < until
    site.kill("web")
    asking.join(60)
    assert lost, "the answer was there before the web part died"
    site.wait_ready()
    if stream:
        chunks = list(client.chat.completions.create(**asked, stream=True))
        text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
        assert chunks[0].choices[0].delta.role == "assistant"
    else:
        text = client.chat.completions.create(**asked).choices[0].message.content or ""
    assert len(text) > 100
    assert count(site) == before + 1
    fresh = client.chat.completions.create(**{**asked, "extra_headers": {}})
    assert fresh.choices[0].message.content == text
