"""Invitation links: made by the admin, used up, expired, taken back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from chatsite.accounts import actions
from chatsite.accounts.errors import InvitationError, NameTakenError
from chatsite.accounts.models import Invitation, User

PASSWORD = "violet-harbour-7"
FORM = {"username": "bob", "password": PASSWORD, "repeat": PASSWORD}


@pytest.fixture
def token(alice: User) -> str:
    actions.set_policy("invitation")
    return actions.invite(alice, days=7, max_uses=1)[1]


def test_it_works(alice_client: Client, client: Client) -> None:
    alice_client.post("/settings/site/policy", {"sign_up": "invitation"})
    form = {"note": "Sales", "days": "7", "max_uses": "1"}
    page = alice_client.post("/settings/site/invite", form).content.decode()
    link = re.search(r"http://testserver(/join/[\w-]+)", page)
    assert link is not None
    assert "Sales" not in client.get(link[1]).content.decode()
    assert client.post(link[1], FORM).headers["Location"] == "/"
    assert client.get("/settings/").status_code == 200
    assert Client().get(link[1]).status_code == 404


def test_the_token_is_not_kept(token: str) -> None:
    row = Invitation.objects.values_list().get()
    assert token not in str(row)


def test_expired_and_revoked_do_not_work(token: str, client: Client, alice_client: Client) -> None:
    invitation = Invitation.objects.get()
    Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert client.post(f"/join/{token}", FORM).status_code == 404
    Invitation.objects.update(expires_at=timezone.now() + timedelta(days=1))
    assert client.get(f"/join/{token}").status_code == 200
    alice_client.post(f"/settings/site/invitations/{invitation.pk}/revoke")
    assert client.post(f"/join/{token}", FORM).status_code == 404
    assert not User.objects.filter(username="bob").exists()


def test_a_closed_site_takes_no_links(token: str, client: Client) -> None:
    actions.set_policy("closed")
    assert client.post(f"/join/{token}", FORM).status_code == 404
    with pytest.raises(InvitationError):
        actions.join(token, "bob", PASSWORD)


def test_a_guessed_token_is_refused(token: str, client: Client) -> None:
    for guess in (token[:-1], token + "a", "x", "%00", "é", "%F0%9F%92%A9", "a" * 5000):
        assert client.get(f"/join/{guess}").status_code == 404


def test_a_taken_name_uses_up_nothing(token: str, bob: User) -> None:
    with pytest.raises(NameTakenError):
        actions.join(token, "BOB", PASSWORD)
    assert Invitation.objects.get().used == 0


@pytest.mark.django_db(transaction=True)
def test_the_last_place_goes_to_one(token: str, together: Callable[..., list[Any]]) -> None:
    names = ["bob", "charlie", "bobby"]
    results = together(*(lambda n=n: actions.join(token, n, PASSWORD) for n in names))
    assert len([result for result in results if isinstance(result, User)]) == 1
    assert len([result for result in results if isinstance(result, InvitationError)]) == 2
    assert Invitation.objects.get().used == 1
    assert User.objects.count() == 2


@pytest.mark.parametrize("uses", ["0", "-1", "1001", "x", ""])
def test_bad_numbers_are_said(alice_client: Client, uses: str) -> None:
    form = {"note": "", "days": "7", "max_uses": uses}
    assert alice_client.post("/settings/site/invite", form).status_code == 400
    assert not Invitation.objects.exists()
