"""A key of Bob's and a model to talk to, for every test of the API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import redis
from django.http import HttpResponse
from django.test import Client

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.api import calls
from chatsite.catalogue import actions
from chatsite.catalogue.models import Model
from chatsite.gateway.follow import hub
from tests.site.api.echoing import EchoWorker
from tests.site.api.responding import Api

Ask = Callable[..., "HttpResponse"]


@pytest.fixture(autouse=True)
def model(db: None, monkeypatch: pytest.MonkeyPatch) -> Model | None:
    monkeypatch.setenv("CHATSITE_ECHO_MODEL", "1")
    return actions.register_echo()


@pytest.fixture
def key(bob: User) -> str:
    return keys.make_key(bob, "tests")[1]


@pytest.fixture
async def worker(broker: redis.Redis, model: Any) -> AsyncIterator[EchoWorker]:
    """What is asked is answered by the echo engine, on a worker of the tests' own."""
    await hub.close()
    worker = EchoWorker(broker)
    worker.start()
    yield worker
    worker.close()
    await asyncio.gather(*calls.stopping)
    await hub.close()


@pytest.fixture
def api(key: str) -> Api:
    return Api(key)


@pytest.fixture
def ask(key: str) -> Ask:
    """Post a chat request that lacks nothing but what the test changes in it."""

    def post(**fields: Any) -> Any:
        whole = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}], **fields}
        return post_raw(json.dumps(whole), key)

    return post


def post_raw(data: str | bytes, key: str, path: str = "/v1/chat/completions") -> Any:
    headers = {"Authorization": f"Bearer {key}"}
    return Client(raise_request_exception=False).post(
        path, data, content_type="application/json", headers=headers
    )
