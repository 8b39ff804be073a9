"""Guessing passwords: paused after eight failures, by name and address together."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.db.models import F
from django.http import HttpResponseBase
from django.test import Client

from chatsite.accounts.models import User

LIMIT = 8
RIGHT = "violet-harbour-7"


def attempt(
    client: Client, password: str, name: str = "bob", address: str = "10.0.0.1"
) -> HttpResponseBase:
    form = {"username": name, "password": password}
    return client.post("/login", form, REMOTE_ADDR=address)


def lock(client: Client, name: str = "bob") -> None:
    codes = [attempt(client, "wrong", name).status_code for _ in range(LIMIT)]
    assert codes == [200] * (LIMIT - 1) + [429]


def test_it_works(bob: User, client: Client) -> None:
    lock(client)
    page = attempt(client, RIGHT)
    assert page.status_code == 429
    assert "try again in 10 minutes" in page.getvalue().decode()
    assert 590 <= int(page.headers["Retry-After"]) <= 600


def test_other_names_and_addresses_go_on(bob: User, charlie: User, client: Client) -> None:
    lock(client)
    assert attempt(client, RIGHT, address="10.0.0.2").status_code == 302
    client.post("/logout")
    assert attempt(client, RIGHT, name="charlie").status_code == 302


def test_another_spelling_is_the_same_name(bob: User, client: Client) -> None:
    for index in range(LIMIT):
        attempt(client, "wrong", "bob" if index % 2 else "BOB")
    assert attempt(client, RIGHT, "Bob").status_code == 429


@pytest.mark.usefixtures("bob")
def test_another_address_cannot_be_claimed(client: Client) -> None:
    for index in range(LIMIT):
        form = {"username": "bob", "password": "wrong"}
        client.post("/login", form, headers={"X-Forwarded-For": f"10.1.1.{index}"})
    form = {"username": "bob", "password": RIGHT}
    answer = client.post("/login", form, headers={"X-Forwarded-For": "10.2.2.2"})
    assert answer.status_code == 429


def test_it_opens_again_after_ten_minutes(bob: User, client: Client) -> None:
    lock(client)
    # Waiting for real would take ten minutes: the failures are made older instead.
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=9))
    assert attempt(client, RIGHT).status_code == 429
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(seconds=61))
    assert attempt(client, RIGHT).status_code == 302


def test_a_success_starts_the_count_over(bob: User, client: Client) -> None:
    for _ in range(LIMIT - 1):
        attempt(client, "wrong")
    assert attempt(client, RIGHT).status_code == 302
    client.post("/logout")
    for _ in range(LIMIT - 1):
        assert attempt(client, "wrong").status_code == 200


def test_no_password_is_kept(bob: User, client: Client) -> None:
    attempt(client, "my secret words")
    kept = AccessAttempt.objects.get()
    assert "my secret words" not in f"{kept.post_data}{kept.get_data}{kept.path_info}"
