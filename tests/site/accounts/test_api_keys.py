"""One's own API keys in the settings: made, shown once, limited, revoked. Charlie gets none of
them, an admin may revoke."""

from __future__ import annotations

import ast
import json
import logging
import re
import shlex
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from chatsite.accounts import actions, keys
from chatsite.accounts.errors import TooManyKeysError
from chatsite.accounts.models import ApiKey, User
from chatsite.accounts.snippets import snippets
from chatsite.catalogue.models import Model

HEADERS = ["Authorization", "X-Api-Key", "Api-Key"]
OVERVIEW, NEW = "/settings/keys", "/settings/keys/new"


@pytest.fixture(autouse=True)
def models(db: None) -> None:
    for name in ("one", "two"):
        Model.objects.create(name=name, engine="echo", source={})
    Model.objects.create(name="hidden", engine="echo", source={}, enabled=False)


def make(client: Client, **fields: Any) -> Any:
    return client.post(NEW, {"name": "laptop", "term": "", "scope": "all", **fields})


def shown_key(page: HttpResponse) -> str:
    found = re.search(r'id="secret"[^>]*>([^<]+)<', page.content.decode())
    assert found is not None
    return found[1]


def usable(text: str, header: str = "Authorization") -> list[str] | None:
    """The models that a key opens; nothing where it is refused."""
    value = f"Bearer {text}" if header == "Authorization" else text
    answer = Client().get("/v1/models", headers={header: value})
    if answer.status_code == 401:
        return None
    return [model["id"] for model in answer.json()["data"]]


def test_it_works(bob_client: Client) -> None:
    page = make(bob_client)
    text = shown_key(page)
    assert "no-store" in page.headers["Cache-Control"]
    assert usable(text) == ["one", "two"]
    overview = bob_client.get(OVERVIEW)
    assert "no-store" in overview.headers["Cache-Control"]
    words = overview.content.decode()
    assert "laptop" in words
    assert text[: keys.SHOWN] in words
    assert "Last used" in words
    assert text not in words


def test_without_keys_the_page_says_what_they_are_for(bob_client: Client) -> None:
    words = bob_client.get(OVERVIEW).content.decode()
    assert "No keys yet" in words
    assert "A key lets your programs talk to the models of this site" in words
    assert f'href="{NEW}"' in words


def test_r16_the_key_is_in_one_answer_and_nowhere_else(
    bob_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    page = make(bob_client)
    text = shown_key(page)
    assert usable(text) is not None
    assert usable(text + "x") is None
    kept = StringIO()
    call_command("dumpdata", stdout=kept)
    assert "laptop" in kept.getvalue()
    secret = text[keys.SHOWN :]
    assert secret not in kept.getvalue()
    assert secret not in caplog.text
    assert secret not in str(page.headers) + page.cookies.output() + bob_client.cookies.output()
    for address in (OVERVIEW, NEW, f"/settings/keys/{ApiKey.objects.get().pk}/revoke"):
        assert secret not in bob_client.get(address).content.decode()


def test_what_is_ready_to_paste(bob_client: Client) -> None:
    page = make(bob_client, scope="some", models=["two"])
    words = unescape(page.content.decode())
    assert 'base_url="http://testserver/v1"' in words
    assert f'api_key="{shown_key(page)}"' in words
    assert 'model="two"' in words
    https = bob_client.post(NEW, {"name": "x", "scope": "all"}, secure=True)
    assert 'base_url="https://testserver/v1"' in unescape(https.content.decode())


@pytest.mark.parametrize("model", ["plain", 'it\'s "odd" \\ $(x) `y`', "模型", ""])
def test_odd_names_break_no_snippet(model: str) -> None:
    python, curl = snippets("http://a.test/v1", "cs-key", model)
    call = ast.parse(python.code).body[2]
    assert isinstance(call, ast.Assign)
    assert isinstance(call.value, ast.Call)
    given = {word.arg: word.value for word in call.value.keywords}
    assert ast.literal_eval(given["model"]) == (model or "MODEL")
    words = shlex.split(curl.code)
    assert words[:2] == ["curl", "http://a.test/v1/chat/completions"]
    assert "Authorization: Bearer cs-key" in words
    assert json.loads(words[-1])["model"] == (model or "MODEL")


@pytest.mark.parametrize(("term", "days"), [("7", 7), ("30", 30), ("90", 90), ("365", 365)])
def test_it_ends_when_its_owner_said(bob_client: Client, term: str, days: int) -> None:
    text = shown_key(make(bob_client, term=term))
    key = ApiKey.objects.get()
    assert key.expires_at is not None
    assert abs(key.expires_at - timezone.now() - timedelta(days=days)) < timedelta(minutes=1)
    assert usable(text) is not None
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert usable(text) is None
    words = bob_client.get(OVERVIEW).content.decode()
    assert "Expired" in words
    assert "No key that works" in words


def test_the_chosen_day_is_the_last_one(bob_client: Client) -> None:
    today = timezone.localdate()
    text = shown_key(make(bob_client, term="date", last_day=today.isoformat()))
    key = ApiKey.objects.get()
    assert key.expires_at is not None
    assert timezone.localdate(key.expires_at) == today
    assert timezone.localdate(key.expires_at + timedelta(seconds=1)) == today + timedelta(days=1)
    assert usable(text) is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": "x" * 81},
        {"name": "a\0b"},
        {"term": "8"},
        {"term": "date"},
        {"term": "date", "last_day": "2020-01-01"},
        {"term": "date", "last_day": "9999-12-31"},
        {"term": "date", "last_day": "0001-01-01"},
        {"term": "date", "last_day": "2030-02-31"},
        {"scope": ""},
        {"scope": "none"},
        {"scope": "some"},
        {"scope": "some", "models": ["three"]},
        {"scope": "some", "models": ["one", "hidden"]},
    ],
    ids=str,
)
def test_it_rejects_what_makes_no_sense(bob_client: Client, fields: dict[str, Any]) -> None:
    page = make(bob_client, **fields)
    words = page.content.decode()
    assert 'class="field__error"' in words
    assert 'id="secret"' not in words
    assert not ApiKey.objects.exists()


def test_a_day_that_is_not_asked_for_is_not_looked_at(bob_client: Client) -> None:
    make(bob_client, term="30", last_day="rubbish")
    assert ApiKey.objects.get().expires_at is not None


@pytest.mark.parametrize("header", HEADERS)
def test_r13_a_limited_key_opens_what_was_chosen(bob_client: Client, header: str) -> None:
    text = shown_key(make(bob_client, scope="some", models=["two"]))
    assert usable(text, header) == ["two"]
    assert "<code>two</code>" in bob_client.get(OVERVIEW).content.decode()
    Model.objects.create(name="later", engine="echo", source={})
    assert usable(text, header) == ["two"]


def test_only_what_one_may_use_is_offered(bob_client: Client) -> None:
    words = bob_client.get(NEW).content.decode()
    assert 'value="one"' in words
    assert 'value="hidden"' not in words


def test_revoking_asks_first_and_works_at_once(bob_client: Client) -> None:
    text = shown_key(make(bob_client))
    address = f"/settings/keys/{ApiKey.objects.get().pk}/revoke"
    assert "Revoke laptop?" in bob_client.get(address).content.decode()
    assert usable(text) is not None
    page = bob_client.post(address, follow=True)
    assert "The key laptop is revoked." in page.content.decode()
    assert usable(text) is None
    # Once more, from a page that was left open.
    for again in (bob_client.get(address), bob_client.post(address)):
        assert again.headers["Location"] == OVERVIEW


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("somebody", ["charlie_client", "alice_client"])
def test_r10_the_key_of_another_is_not_found(
    bob: User, somebody: str, method: str, request: pytest.FixtureRequest
) -> None:
    """An admin, too: what an admin may do to others has an address of its own."""
    client: Client = request.getfixturevalue(somebody)
    row, text = keys.make_key(bob, "laptop")
    for pk in (row.pk, row.pk + 1, 10**30):
        answer = getattr(client, method)(f"/settings/keys/{pk}/revoke")
        assert answer.status_code == 404
        assert b"laptop" not in answer.content
    assert usable(text) is not None
    assert "laptop" not in client.get(OVERVIEW).content.decode()


def test_an_admin_sees_and_revokes_but_never_reads(
    alice_client: Client, bob: User, charlie_client: Client
) -> None:
    row, text = keys.make_key(bob, "laptop")
    page = f"/settings/users/{bob.pk}"
    words = alice_client.get(page).content.decode()
    assert "laptop" in words
    assert row.prefix in words
    assert text not in words
    assert row.hash not in words
    address = f"/settings/users/keys/{row.pk}/revoke"
    assert charlie_client.post(address).status_code == 403
    assert usable(text) is not None
    assert "Revoke laptop?" in alice_client.get(address).content.decode()
    assert alice_client.post(address).headers["Location"] == page
    assert usable(text) is None
    assert alice_client.get("/settings/users/keys/987654/revoke").status_code == 404


def test_djangos_admin_shows_rows_and_changes_none(alice_client: Client, bob: User) -> None:
    row, text = keys.make_key(bob, "laptop")
    address = f"/admin/accounts/apikey/{row.pk}/change/"
    words = alice_client.get(address).content.decode()
    assert row.prefix in words
    assert row.hash not in words
    assert text not in words
    assert alice_client.post(address, {"name": "mine"}).status_code == 403
    assert alice_client.get("/admin/accounts/apikey/add/").status_code == 403


def revoke(_alice: User, bob: User, key: ApiKey) -> None:
    keys.revoke_key(bob, key.pk)


def expire(_alice: User, _bob: User, key: ApiKey) -> None:
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now())


def disable(alice: User, bob: User, _key: ApiKey) -> None:
    actions.set_active(bob, alice, active=False)


def delete(alice: User, bob: User, _key: ApiKey) -> None:
    actions.delete_person(bob, alice)


def change_password(_alice: User, bob: User, _key: ApiKey) -> None:
    actions.change_password(bob, "another-harbour-8")


def reset_password(alice: User, bob: User, _key: ApiKey) -> None:
    actions.reset_password(bob, alice)


def end_sessions(_alice: User, bob: User, _key: ApiKey) -> None:
    actions.end_sessions(bob)


SHUT = [revoke, expire, disable, delete]
# A key is no session: programs go on when somebody logs out or chooses another password.
OPEN = [change_password, reset_password, end_sessions]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("act", [*SHUT, *OPEN], ids=lambda act: act.__name__)
def test_r13_what_ends_a_key_in_every_header(
    alice: User, bob: User, act: Callable[[User, User, ApiKey], None], header: str
) -> None:
    row, text = keys.make_key(bob)
    assert usable(text, header) is not None
    act(alice, bob, row)
    assert (usable(text, header) is None) == (act in SHUT)


def fill(person: User, number: int) -> None:
    for _ in range(number):
        keys.make_key(person)


def test_there_are_so_many_and_no_more(bob: User, bob_client: Client) -> None:
    fill(bob, keys.LIMIT)
    page = make(bob_client)
    assert page.status_code == 409
    assert f"You have {keys.LIMIT} keys that work" in page.content.decode()
    assert ApiKey.objects.count() == keys.LIMIT
    words = bob_client.get(OVERVIEW).content.decode()
    assert f"{keys.LIMIT} keys work" in words
    assert f'href="{NEW}"' not in words
    with pytest.raises(CommandError, match="Revoke one"):
        call_command("apikey", "bob")


def test_only_keys_that_work_are_counted(bob: User, charlie: User, bob_client: Client) -> None:
    fill(bob, keys.LIMIT)
    revoked, expired = ApiKey.objects.filter(user=bob)[:2]
    keys.revoke_key(bob, revoked.pk)
    ApiKey.objects.filter(pk=expired.pk).update(expires_at=timezone.now())
    assert shown_key(make(bob_client))
    assert shown_key(make(bob_client))
    assert make(bob_client).status_code == 409
    keys.make_key(charlie)


@pytest.mark.django_db(transaction=True)
def test_two_at_once_do_not_share_the_last_place(
    bob: User, together: Callable[..., list[Any]]
) -> None:
    fill(bob, keys.LIMIT - 1)
    results = together(*[lambda: keys.make_key(bob)] * 4)
    assert sum(isinstance(result, TooManyKeysError) for result in results) == 3
    assert keys.working_keys(bob).count() == keys.LIMIT


def test_r19_names_are_text(bob_client: Client, alice_client: Client, bob: User) -> None:
    name = '<img src=x onerror="alert(1)">'
    pages = [make(bob_client, name=name), bob_client.get(OVERVIEW)]
    pk = ApiKey.objects.get().pk
    pages += [bob_client.get(f"/settings/keys/{pk}/revoke")]
    pages += [alice_client.get(f"/settings/users/{bob.pk}")]
    pages += [bob_client.post(f"/settings/keys/{pk}/revoke", follow=True)]
    for page in pages:
        words = page.content.decode()
        assert "&lt;img" in words
        assert "<img" not in words


def test_the_list_needs_few_queries(
    bob: User, bob_client: Client, django_assert_max_num_queries: Any
) -> None:
    fill(bob, 30)
    with django_assert_max_num_queries(6):
        assert bob_client.get(OVERVIEW).content.decode().count('class="accounts-key"') == 30
