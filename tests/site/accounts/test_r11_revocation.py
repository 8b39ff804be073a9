"""R11: losing a right ends sessions and closes open sockets, whoever changes the row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from chatsite.accounts import actions
from chatsite.accounts.models import User

Revoked = Callable[[], list[tuple[int, str | None]]]
pytestmark = pytest.mark.django_db(transaction=True)


def test_it_works(alice_client: Client, bob: User, bob_client: Client, revoked: Revoked) -> None:
    assert bob_client.get("/settings/").status_code == 200
    alice_client.post(f"/settings/users/{bob.pk}/disable")
    assert bob_client.get("/settings/").status_code == 302
    assert revoked() == [(bob.pk, None)]


def test_enabling_brings_no_old_session_back(alice: User, bob: User, bob_client: Client) -> None:
    actions.set_active(bob, alice, False)
    actions.set_active(bob, alice, True)
    assert bob_client.get("/settings/").status_code == 302


def test_demoting(alice_client: Client, bob: User, bob_client: Client, revoked: Revoked) -> None:
    actions.set_admin(bob, True)
    assert revoked() == []
    assert bob_client.get("/settings/users").status_code == 200
    alice_client.post(f"/settings/users/{bob.pk}/demote")
    assert bob_client.get("/settings/users").status_code == 403
    assert revoked() == [(bob.pk, None)]


def test_deleting(alice_client: Client, bob: User, bob_client: Client, revoked: Revoked) -> None:
    alice_client.post(f"/settings/users/{bob.pk}/delete")
    assert bob_client.get("/settings/").status_code == 302
    assert revoked() == [(bob.pk, None)]


def test_logging_out_closes_this_session_only(
    bob: User, bob_client: Client, revoked: Revoked
) -> None:
    key = bob_client.session.session_key
    bob_client.post("/logout")
    assert revoked() == [(bob.pk, key)]


def test_changing_the_password(bob: User, bob_client: Client, revoked: Revoked) -> None:
    elsewhere = Client()
    elsewhere.force_login(bob, backend="django.contrib.auth.backends.ModelBackend")
    form = {
        "current": "violet-harbour-7",
        "password": "amber-window-31",
        "repeat": "amber-window-31",
    }
    bob_client.post("/settings/password", form)
    assert bob_client.get("/settings/").status_code == 200
    assert elsewhere.get("/settings/").status_code == 302
    assert revoked() == [(bob.pk, None)]


def test_resetting_the_password(
    alice_client: Client, bob: User, bob_client: Client, revoked: Revoked
) -> None:
    alice_client.post(f"/settings/users/{bob.pk}/reset")
    assert bob_client.get("/settings/").status_code == 302
    assert revoked() == [(bob.pk, None)]


def test_through_djangos_admin(
    alice_client: Client, bob: User, bob_client: Client, revoked: Revoked
) -> None:
    form = {"username": "bob", "theme": "system"}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "10:00:00"}
    answer = alice_client.post(f"/admin/accounts/user/{bob.pk}/change/", form)
    assert answer.status_code == 302
    assert bob_client.get("/settings/").status_code == 302
    assert revoked() == [(bob.pk, None)]


def test_harmless_changes_close_nothing(bob: User, bob_client: Client, revoked: Revoked) -> None:
    bob_client.post("/settings/appearance", {"theme": "dark"})
    bob.first_name = "Bob"
    bob.save()
    bob.groups.add(Group.objects.create(name="readers"))
    assert bob_client.get("/settings/").status_code == 200
    assert revoked() == []
