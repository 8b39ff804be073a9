"""The first account: made in the browser, by one person, who is the admin then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from pytest_django.fixtures import Settings

from chatsite.accounts import actions
from chatsite.accounts.errors import AlreadySetUpError
from chatsite.accounts.models import User

FORM = {"username": "alice", "password": "violet-harbour-7", "repeat": "violet-harbour-7"}


@pytest.mark.django_db
def test_it_works(client: Client) -> None:
    assert client.get("/settings/").headers["Location"] == "/setup"
    assert client.get("/login").headers["Location"] == "/setup"
    response = client.post("/setup", FORM)
    assert response.headers["Location"] == "/"
    alice = User.objects.get()
    assert (alice.username, alice.is_staff, alice.is_superuser) == ("alice", True, True)
    assert client.get("/settings/").status_code == 200


def test_it_closes_after_the_first_account(alice: User, client: Client) -> None:
    assert client.get("/setup").headers["Location"] == "/login"
    assert client.post("/setup", {**FORM, "username": "bob"}).headers["Location"] == "/login"
    assert User.objects.count() == 1


@pytest.mark.django_db
def test_the_command_line_counts_too(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "violet-harbour-7")
    call_command("createsuperuser", username="alice", email="", interactive=False, verbosity=0)
    assert client.get("/setup").headers["Location"] == "/login"


@pytest.mark.django_db
def test_it_wants_the_printed_address(client: Client, settings: Settings) -> None:
    settings.CHATSITE_SETUP_TOKEN = "one-time"
    for address in ("/setup", "/setup?token=", "/setup?token=wrong", "/setup?token=é%00"):
        assert client.get(address).status_code == 403
        assert client.post(address, FORM).status_code == 403
    assert not User.objects.exists()
    page = client.get("/setup?token=one-time")
    assert page.status_code == 200
    assert client.post("/setup?token=one-time", FORM).headers["Location"] == "/"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"repeat": "another-one-7"}, "not the same"),
        ({"password": "short", "repeat": "short"}, "too short"),
        ({"password": "password123", "repeat": "password123"}, "too common"),
        ({"username": "a b"}, "no spaces"),
        ({"username": ""}, "required"),
        ({"username": "x" * 151}, "at most 150"),
    ],
)
def test_it_says_what_is_wrong(client: Client, change: dict[str, str], words: str) -> None:
    response = client.post("/setup", {**FORM, **change})
    assert response.status_code == 200
    assert words in response.content.decode()
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_at_the_same_moment_make_one_admin(
    together: Callable[..., list[Any]], settings: Settings
) -> None:
    # The real one takes its time between the look and the insert: a missing lock shows.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
    names = ["alice", "bob", "charlie"]
    results = together(*(lambda n=n: actions.set_up(n, "violet-harbour-7") for n in names))
    made = [result for result in results if isinstance(result, User)]
    refused = [result for result in results if isinstance(result, AlreadySetUpError)]
    assert (len(made), len(refused)) == (1, 2)
    assert User.objects.get().username == made[0].username


@pytest.mark.django_db(transaction=True)
def test_two_browsers_at_the_same_moment(together: Callable[..., list[Any]]) -> None:
    names = ["alice", "bob"]
    answers = together(
        *(lambda n=n: Client().post("/setup", {**FORM, "username": n}) for n in names)
    )
    assert sorted(answer.headers["Location"] for answer in answers) == ["/", "/login"]
    assert User.objects.count() == 1
