"""Keys open the API: made on the command line, hashed, revoked at once, the same in every header
(R13, R16)."""

from __future__ import annotations

import re
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import URLPattern
from django.utils import timezone

from chatsite.accounts import actions, keys
from chatsite.accounts.models import ApiKey, User
from chatsite.api import urls

HEADERS = ["Authorization", "X-Api-Key", "Api-Key"]


def models(headers: dict[str, str]) -> Any:
    return Client().get("/v1/models", headers=headers)


def form(header: str, key: str) -> dict[str, str]:
    return {header: f"Bearer {key}" if header == "Authorization" else key}


def code(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


def test_it_works(bob: User) -> None:
    out = StringIO()
    call_command("apikey", "Bob", "--name", "laptop", stdout=out)
    key = out.getvalue().strip()
    assert key.startswith("cs-")
    assert len(key) >= 43 + 3
    answer = models(form("Authorization", key))
    assert [model["id"] for model in answer.json()["data"]] == ["echo"]
    assert ApiKey.objects.get().name == "laptop"
    assert ApiKey.objects.get().last_used_at is not None


def test_nobody_gets_a_key_for_nobody(db: None) -> None:
    with pytest.raises(CommandError, match="charlie"):
        call_command("apikey", "charlie")


def test_r16_only_the_hash_is_kept(bob: User) -> None:
    row, key = keys.make_key(bob)
    kept = {str(getattr(row, field.attname)) for field in ApiKey._meta.concrete_fields}
    assert not any(key in value for value in kept)
    assert key.startswith(row.prefix)
    assert len(key) - len(row.prefix) >= 32
    assert keys.find_key(key) == row
    assert keys.find_key(row.prefix + "x" * 35) is None


@pytest.mark.parametrize("header", HEADERS)
def test_r13_every_header_is_checked_alike(bob: User, header: str) -> None:
    row, key = keys.make_key(bob, allowed=["another"])
    assert models(form(header, key)).json()["data"] == []
    one = Client().get("/v1/models/echo", headers=form(header, key))
    assert (one.status_code, code(one)) == (404, "model_not_found")
    assert models(form(header, key + "x")).status_code == 401
    keys.revoke_key(bob, row.pk)
    assert code(models(form(header, key))) == "invalid_api_key"


def test_r13_two_different_keys_are_none(bob: User) -> None:
    first, second = keys.make_key(bob)[1], keys.make_key(bob)[1]
    answer = models({"Authorization": f"Bearer {first}", "X-Api-Key": second})
    assert answer.status_code == 401


def test_an_expired_key_is_refused(bob: User) -> None:
    key = keys.make_key(bob, expires_at=timezone.now() - timedelta(seconds=1))[1]
    assert models(form("Authorization", key)).status_code == 401


def test_r11_a_disabled_account_is_refused_at_its_next_call(alice: User, bob: User) -> None:
    key = keys.make_key(bob)[1]
    assert models(form("Authorization", key)).status_code == 200
    actions.set_active(bob, alice, active=False)
    answer = models(form("Authorization", key))
    assert (answer.status_code, code(answer)) == (401, "account_deactivated")


def test_bob_cannot_revoke_the_key_of_charlie(bob: User, charlie: User) -> None:
    row, key = keys.make_key(charlie)
    assert not keys.revoke_key(bob, row.pk)
    assert keys.find_key(key) == row


@pytest.mark.parametrize("entry", urls.urlpatterns, ids=lambda entry: str(entry.name))
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT"])
def test_r14_nothing_is_said_without_a_key(
    bob_client: Client, entry: URLPattern, method: str
) -> None:
    """A session is no key: what a page of the browser asks for is nobody's."""
    path = "/" + re.sub(r"<\w+:\w+>", "echo", str(entry.pattern))
    assert "<" not in path
    answer = bob_client.generic(method, path, "{}", content_type="application/json")
    assert answer.status_code in {401, 405}
    assert "data" not in answer.json()
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
