"""A key of Bob's and a model to talk to, for every test of Ollama's dialect."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.catalogue import actions
from chatsite.catalogue.models import Model

Ask = Callable[..., "HttpResponse"]
HELLO = {"role": "user", "content": "Hello"}


@pytest.fixture(autouse=True)
def model(db: None, monkeypatch: pytest.MonkeyPatch) -> Model | None:
    monkeypatch.setenv("CHATSITE_ECHO_MODEL", "1")
    return actions.register_echo()


@pytest.fixture
def key(bob: User) -> str:
    return keys.make_key(bob, "tests")[1]


@pytest.fixture
def ask(key: str) -> Ask:
    """Post a chat request that lacks nothing but what the test changes in it."""

    def post(**fields: Any) -> Any:
        return send(key, "chat", {"model": "echo", "messages": [HELLO], **fields})

    return post


def send(key: str, what: str, body: Any, method: str = "POST") -> Any:
    """As plain `curl -d` does: JSON that says to be a form."""
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    return Client(raise_request_exception=False).generic(
        method,
        f"/api/{what}",
        data,
        content_type="application/x-www-form-urlencoded",
        headers={"Authorization": f"Bearer {key}"},
    )


def get(key: str, what: str) -> Any:
    return Client().get(f"/api/{what}", headers={"Authorization": f"Bearer {key}"})
