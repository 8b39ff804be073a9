"""Machines that watch the site: /healthz says that it answers, /readyz what is missing."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import redis
from django.test import AsyncClient, Client
from pytest_django.fixtures import Settings

# The probe asks in a thread with a connection of its own.
pytestmark = pytest.mark.django_db(transaction=True)


def ask(client: Client) -> tuple[int, dict[str, Any]]:
    answer = client.get("/readyz")
    return answer.status_code, json.loads(answer.content)


def test_it_works(client: Client, broker: redis.Redis) -> None:
    broker.zadd("workers", {"one": time.time()})
    assert ask(client) == (200, {"status": "ok"})


def test_it_lives_without_anything_else(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere.sock"
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert json.loads(answer.content) == {"status": "ok"}


def test_it_names_a_missing_worker(client: Client, broker: redis.Redis) -> None:
    broker.zadd("workers", {"one": time.time() - 60})
    status, body = ask(client)
    assert status == 503
    assert set(body) == {"status", "worker"}


def test_it_names_a_missing_redis(client: Client, settings: Settings) -> None:
    settings.REDIS_URL = "unix:///nowhere.sock"
    status, body = ask(client)
    assert status == 503
    assert body["redis"] == "does not answer"
    assert "/nowhere" not in json.dumps(body), "our words, never the error's"


def test_it_names_a_missing_database(
    client: Client, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection

    broker.zadd("workers", {"one": time.time()})
    monkeypatch.setitem(connection.settings_dict, "NAME", "/nowhere/at/all")
    # Each thread makes its connection from the same settings; this one is open already.
    status, body = ask(client)
    assert status == 503
    assert set(body) == {"status", "database"}


async def test_many_at_once(async_client: AsyncClient, broker: redis.Redis) -> None:
    broker.zadd("workers", {"one": time.time()})
    for _ in range(10):
        answer = await async_client.get("/readyz")
        assert answer.status_code == 200
