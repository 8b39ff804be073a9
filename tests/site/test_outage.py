"""A database that does not answer is said to be away, to people and to programs."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.template.loader import get_template
from django.test import Client

from chatsite.accounts import keys
from chatsite.accounts.models import User

AWAY = "cannot reach its database"


def lose(monkeypatch: pytest.MonkeyPatch, where: str, error: Exception) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(where, fail)


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch, bob_client: Client) -> Client:
    lose(monkeypatch, "chatsite.chat.views._thread", OperationalError("gone"))
    bob_client.raise_request_exception = False
    return bob_client


def test_it_works(lost: Client) -> None:
    answer = lost.get("/chat/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert AWAY in answer.content.decode()
    chinese = lost.get("/chat/", headers={"Accept-Language": "zh-CN"})
    assert "数据库" in chinese.content.decode()


def test_a_part_of_a_page_is_told_in_our_words(lost: Client) -> None:
    answer = lost.get("/chat/", headers={"HX-Request": "true"})
    assert answer.status_code == 503
    assert AWAY in json.loads(answer.content)["error"]["message"]


def test_a_full_disk_is_called_that(monkeypatch: pytest.MonkeyPatch, bob_client: Client) -> None:
    """Also where a session, of which a chat's own refusal knows nothing, cannot be kept."""
    error = OperationalError("database or disk is full")
    error.__cause__ = sqlite3.OperationalError()
    error.__cause__.sqlite_errorcode = sqlite3.SQLITE_FULL
    lose(monkeypatch, "chatsite.chat.views._thread", error)
    bob_client.raise_request_exception = False
    page = bob_client.get("/chat/")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    assert "disk of the server is full" in page.content.decode()
    part = json.loads(bob_client.get("/chat/", headers={"HX-Request": "true"}).content)["error"]
    assert (part["kind"], "disk of the server is full" in part["message"]) == ("storage_full", True)
    lose(monkeypatch, "chatsite.api.access.keys.find_key", error)
    told = bob_client.get("/v1/models", headers={"Authorization": f"Bearer {keys.MARK}any"})
    assert (told.status_code, told.json()["error"]["code"]) == (503, "storage_full")


def test_before_anybody_is_known(monkeypatch: pytest.MonkeyPatch, bob_client: Client) -> None:
    """A session is looked up before any view is called."""
    where = "django.contrib.sessions.backends.db.SessionStore._get_session_from_db"
    lose(monkeypatch, where, InterfaceError("the connection is closed"))
    bob_client.raise_request_exception = False
    assert bob_client.get("/chat/").status_code == 503


def test_our_own_mistakes_stay_ours(monkeypatch: pytest.MonkeyPatch, bob_client: Client) -> None:
    lose(monkeypatch, "chatsite.chat.views._thread", ValueError("ours"))
    bob_client.raise_request_exception = False
    assert bob_client.get("/chat/").status_code == 500


@pytest.mark.parametrize("path", ["/v1/models", "/v1/chat/completions"])
def test_programs_are_told_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch, client: Client, alice: User, path: str
) -> None:
    lose(monkeypatch, "chatsite.api.access.keys.find_key", OperationalError("gone"))
    body = {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}
    send: dict[str, Any] = {"data": body, "content_type": "application/json"}
    headers = {"Authorization": f"Bearer {keys.MARK}any"}
    answer = (
        client.get(path, headers=headers)
        if path.endswith("models")
        else client.post(path, **send, headers=headers)
    )
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    error = answer.json()["error"]
    assert (error["code"], error["type"]) == ("service_unavailable", "server_error")


def test_the_page_stands_alone() -> None:
    source = get_template("503.html").template.source  # type: ignore[attr-defined]
    assert "{% extends" not in source
    assert "{% include" not in source
    assert "<script" not in source
