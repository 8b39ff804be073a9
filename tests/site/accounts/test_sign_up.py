"""Making an account of one's own, as the admin's policy allows it."""

from __future__ import annotations

import pytest
from django.test import Client

from chatsite.accounts import actions
from chatsite.accounts.models import SiteSettings, User

FORM = {"username": "bob", "password": "violet-harbour-7", "repeat": "violet-harbour-7"}


@pytest.fixture
def policy(alice: User) -> type[SiteSettings.SignUp]:
    return SiteSettings.SignUp


def test_it_works(policy: type[SiteSettings.SignUp], client: Client) -> None:
    actions.set_policy(policy.OPEN)
    assert "/signup" in client.get("/login").content.decode()
    assert client.post("/signup", FORM).headers["Location"] == "/"
    bob = User.objects.get(username="bob")
    assert (bob.is_staff, bob.is_superuser, bob.must_change_password) == (False, False, False)
    assert client.get("/settings/").status_code == 200


@pytest.mark.parametrize("value", ["closed", "invitation"])
def test_it_is_closed_otherwise(
    policy: type[SiteSettings.SignUp], client: Client, value: str
) -> None:
    actions.set_policy(value)
    assert "Ask the admin" in client.get("/signup").content.decode()
    assert client.post("/signup", FORM).status_code == 403
    assert not User.objects.filter(username="bob").exists()
    assert 'href="/signup"' not in client.get("/login").content.decode()


@pytest.mark.usefixtures("alice")
def test_it_is_closed_from_the_start(client: Client) -> None:
    assert client.post("/signup", FORM).status_code == 403


@pytest.mark.parametrize("name", ["alice", "ALICE"])
def test_a_taken_name_is_refused(
    policy: type[SiteSettings.SignUp], client: Client, name: str
) -> None:
    actions.set_policy(policy.OPEN)
    response = client.post("/signup", {**FORM, "username": name})
    assert "This name is taken" in response.content.decode()
    assert User.objects.count() == 1


def test_nobody_makes_oneself_an_admin(policy: type[SiteSettings.SignUp], client: Client) -> None:
    actions.set_policy(policy.OPEN)
    client.post("/signup", {**FORM, "is_staff": "on", "is_superuser": "1"})
    assert not User.objects.get(username="bob").is_staff
