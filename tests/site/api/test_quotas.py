"""What a program is told of its limits: OpenAI's headers, and a 429 that says when to come
again."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async

from chatsite.accounts import keys
from chatsite.accounts.models import ApiKey, User
from chatsite.api.limits import span
from chatsite.gateway.models import Generation
from chatsite.metering import actions, quotas
from chatsite.metering.models import Usage
from chatsite.steward.rounds import Steward
from tests.site.api.asking import body, post, read
from tests.site.api.conftest import Ask, post_raw
from tests.site.api.echoing import EchoWorker
from tests.site.metering.test_quotas import NOTHING, limit_site
from tests.site.metering.using import used

SPAN = re.compile(r"(\d+h\d+m\d+s|\d+m\d+s|\d+s)")


def told(answer: Any) -> dict[str, str]:
    return {k: v for k, v in answer.headers.items() if k.lower().startswith("x-ratelimit")}


def refused(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 429, answer.content
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("stream", [False, True])
async def test_it_works(bob: User, key: str, worker: EchoWorker, stream: bool) -> None:
    await sync_to_async(limit_site)(requests_per_day=2, tokens_per_day=1000)
    for left in (1, 0):
        answer = await post(key, body(stream=stream))
        assert answer.status_code == 200
        await read(answer)
        headers = told(answer)
        assert headers["x-ratelimit-limit-requests"] == "2"
        assert headers["x-ratelimit-remaining-requests"] == str(left)
        assert headers["x-ratelimit-limit-tokens"] == "1000"
        assert int(headers["x-ratelimit-remaining-tokens"]) > 900
        assert SPAN.fullmatch(headers["x-ratelimit-reset-requests"])
        assert SPAN.fullmatch(headers["x-ratelimit-reset-tokens"])
    answer = await post(key, body(stream=stream))
    assert refused(answer)["code"] == "insufficient_quota"
    assert told(answer)["x-ratelimit-remaining-requests"] == "0"


@pytest.mark.django_db(transaction=True)
async def test_without_limits_there_are_no_headers(key: str, worker: EchoWorker) -> None:
    answer = await post(key, body())
    assert answer.status_code == 200
    assert told(answer) == {}


@pytest.mark.django_db(transaction=True)
async def test_usage_is_the_keys(bob: User, key: str, worker: EchoWorker) -> None:
    answer = await post(key, body(n=2))
    assert answer.status_code == 200
    await sync_to_async(Steward().round)()
    row = await Usage.objects.select_related("key").aget()
    assert (row.user_id, row.key and row.key.name, row.kind) == (bob.pk, "tests", "api")
    usage = answer.json()["usage"]
    assert (row.requests, row.prompt_tokens) == (1, usage["prompt_tokens"])
    assert row.completion_tokens == usage["completion_tokens"] > 0


def test_a_minute_is_worth_a_repeat(ask: Ask, broker: redis.Redis, bob: User) -> None:
    limit_site(requests_per_minute=1)
    quotas.admit(bob.pk)
    answer = ask()
    error = refused(answer)
    assert (error["code"], error["type"]) == ("rate_limit_exceeded", "rate_limit_error")
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert "x-should-retry" not in answer.headers
    assert not Generation.objects.exists()


def test_a_day_is_not(ask: Ask, broker: redis.Redis, bob: User) -> None:
    limit_site(tokens_per_day=100)
    used(bob, kind="chat", prompt_tokens=100)
    answer = ask()
    assert "100 tokens per day" in refused(answer)["message"]
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["x-should-retry"] == "false"
    assert answer.headers["x-ratelimit-remaining-tokens"] == "0"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/v1/chat/completions", body()),
        ("/v1/completions", {"model": "echo", "prompt": "Go"}),
        ("/api/chat", body()),
    ],
)
def test_every_endpoint_is_under_it(
    path: str, fields: dict[str, Any], key: str, bob: User, broker: redis.Redis
) -> None:
    limit_site(requests_per_day=0)
    answer = post_raw(json.dumps(fields), key, path)
    assert answer.status_code == 429
    assert "0 requests per day" in answer.content.decode()
    assert not Generation.objects.exists()


def test_a_key_of_its_own_limit(bob: User, key: str, broker: redis.Redis) -> None:
    row = ApiKey.objects.get()
    actions.set_key_limits(row, NOTHING | {"requests_per_day": 0})
    data = '{"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}'
    error = refused(post_raw(data, key))
    assert error["message"].startswith("This API key has used up")
    other = keys.make_key(bob)[1]
    assert post_raw(data.replace("echo", "none"), other).status_code == 404


def test_what_is_wrong_is_said_first_and_not_counted(
    ask: Ask, bob: User, broker: redis.Redis
) -> None:
    limit_site(requests_per_day=1)
    assert ask(temperature=3).status_code == 400
    assert ask(model="gpt-9").status_code == 404
    assert quotas.look(bob.pk).gauges[0].used == 0


@pytest.mark.django_db(transaction=True)
async def test_it_may_wait_instead(key: str, worker: EchoWorker, broker: redis.Redis) -> None:
    await sync_to_async(limit_site)(waits=True, requests_per_day=0)
    answer = await post(key, body())
    assert answer.status_code == 200
    assert told(answer)["x-ratelimit-remaining-requests"] == "0"
    row = await Generation.objects.aget()
    assert row.request["late"] is True
    assert broker.hget(f"run:{row.pk.hex}", "late") == b"1"


@pytest.mark.parametrize(
    ("seconds", "words"), [(8, "8s"), (360, "6m0s"), (64796, "17h59m56s"), (3600, "1h0m0s")]
)
def test_times_are_written_as_openai_does(seconds: int, words: str) -> None:
    assert span(seconds) == words
