"""The programs' own way into the web process: the key counts, nothing of a browser's does, and no
page can be reached by it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.testing import HttpCommunicator
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path

from chatsite.accounts.models import User
from chatsite.asgi import application
from tests.site.conftest import sign_in

pytestmark = pytest.mark.django_db(transaction=True)


async def get(address: str, **headers: str) -> dict[str, Any]:
    """The answer as it goes onto the wire."""
    told = {"host": "localhost", **headers}
    raw = [(name.encode(), value.encode()) for name, value in told.items()]
    asked = HttpCommunicator(application, "GET", address, headers=raw)
    # What a web server always knows.
    asked.scope |= {"client": ["127.0.0.1", 50_000], "server": ["127.0.0.1", 8000]}
    answer: dict[str, Any] = await asked.get_response(timeout=10)
    await asked.wait()
    return answer | {"names": {name.lower(): value for name, value in answer["headers"]}}


def a_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("for people who are logged in")


urlpatterns = [path("v1/page", a_page)]


async def test_it_works(key: str) -> None:
    answer = await get("/v1/models", authorization=f"Bearer {key}")
    assert answer["status"] == 200
    assert json.loads(answer["body"])["data"][0]["id"] == "echo"
    assert answer["names"][b"x-content-type-options"] == b"nosniff"
    assert not {b"set-cookie", b"content-language"} & answer["names"].keys()


async def test_a_session_is_no_key(bob: User) -> None:
    client = await sync_to_async(sign_in)(bob)
    [(name, morsel)] = client.cookies.items()
    answer = await get("/v1/models", cookie=f"{name}={morsel.value}")
    assert answer["status"] == 401


async def test_a_page_is_not_there() -> None:
    with override_settings(ROOT_URLCONF=__name__):
        assert (await get("/v1/page"))["status"] == 404


async def test_a_foreign_host_stops_at_the_door(key: str) -> None:
    answer = await get("/v1/models", host="evil.test", authorization=f"Bearer {key}")
    assert answer["status"] == 400
    assert b"evil.test" in answer["body"]


async def test_an_address_that_is_none_gets_the_envelope(key: str) -> None:
    answer = await get("/v1/nothing", authorization=f"Bearer {key}")
    assert answer["status"] == 404
    assert json.loads(answer["body"])["error"]["type"] == "invalid_request_error"
