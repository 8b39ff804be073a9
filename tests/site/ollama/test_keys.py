"""Ollama's dialect asks for the same keys as `/v1`, and tells its refusals in Ollama's shape (R13,
R14, R18)."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern
from pytest_django import Settings

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.ollama import urls
from tests.site.ollama.conftest import get, send

HEADERS = ["Authorization", "X-Api-Key", "Api-Key"]
LOCAL = {"Host": "127.0.0.1:8000"}


def form(header: str, key: str) -> dict[str, str]:
    return {header: f"Bearer {key}" if header == "Authorization" else key}


def test_it_works(key: str) -> None:
    answer = get(key, "tags")
    assert [model["name"] for model in answer.json()["models"]] == ["echo:latest"]


@pytest.mark.parametrize("entry", urls.urlpatterns, ids=lambda entry: str(entry.name))
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
def test_r14_nothing_is_said_without_a_key(
    bob_client: Client, entry: URLPattern, method: str
) -> None:
    """A session is no key: what a page of the browser asks for is nobody's."""
    path = "/" + str(entry.pattern).replace("<rest:rest>", "x/y")
    assert "<" not in path
    answer = bob_client.generic(method, path, "{}", content_type="application/json")
    assert answer.status_code in {401, 405}
    assert set(answer.json()) == {"error"}
    assert isinstance(answer.json()["error"], str)


@pytest.mark.parametrize("header", HEADERS)
def test_r13_a_key_for_another_model_opens_nothing(bob: User, header: str) -> None:
    row, key = keys.make_key(bob, allowed=["another"])
    headers = form(header, key)
    assert Client().get("/api/tags", headers=headers).json() == {"models": []}
    for path in ("chat", "generate", "show", "embed"):
        data = {"model": "echo", "messages": [{"role": "user", "content": "x"}], "prompt": "x"}
        answer = Client().post(f"/api/{path}", data, "application/json", headers=headers)
        assert answer.status_code == 404, path
    keys.revoke_key(bob, row.pk)
    assert Client().get("/api/tags", headers=headers).status_code == 401


@pytest.mark.parametrize("key", ["", "Bearer ollama", "Bearer EMPTY"])
def test_a_program_on_this_machine_needs_no_key(alice: User, settings: Settings, key: str) -> None:
    settings.CHATSITE_LOCAL_OWNER = True
    answer = Client().get("/api/version", headers={**LOCAL, "Authorization": key})
    assert answer.status_code == 200
    assert answer.json()["version"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Sec-Fetch-Site": "cross-site"},
        {"X-Forwarded-For": "10.0.0.1"},
    ],
    ids=str,
)
def test_r18_pages_and_proxies_are_refused(
    alice: User, settings: Settings, headers: dict[str, str]
) -> None:
    settings.CHATSITE_LOCAL_OWNER = True
    data = {"model": "echo", "prompt": "x"}
    answer = Client().post("/api/generate", data, "application/json", headers={**LOCAL, **headers})
    assert answer.status_code == 401


def test_the_first_account_is_asked_for(db: None, settings: Settings) -> None:
    settings.CHATSITE_LOCAL_OWNER = True
    answer = Client().get("/api/tags", headers=LOCAL)
    assert answer.status_code == 401
    assert "/setup" in answer.json()["error"]


def test_somebody_is_there(client: Client, bob: User) -> None:
    """What Ollama's own client asks for first needs no key, and tells nothing."""
    answer = client.head("/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert client.get("/").headers["Location"] == "/chat/"


def test_an_unknown_address_is_an_error_and_no_page(key: str) -> None:
    for method in ("GET", "POST", "HEAD", "PATCH", "REFUSE", "DISPATCH"):
        answer: Any = send(key, "blobs/sha256:0", {}, method)
        assert answer.status_code == 404, method
    assert "/api/create" in send(key, "create", {}).json()["error"]


def test_r24_a_method_of_any_name_is_refused(key: str) -> None:
    for method in ("DISPATCH", "REFUSE", "HANDLER", "BEGIN", "FORM"):
        assert send(key, "chat", {}, method).status_code == 405, method
