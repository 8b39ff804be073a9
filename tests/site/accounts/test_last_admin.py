"""The site never loses its last active admin, and nobody locks oneself out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from chatsite.accounts import actions
from chatsite.accounts.errors import LastAdminError, YourselfError
from chatsite.accounts.models import User


def test_it_works(alice: User, bob: User) -> None:
    with pytest.raises(LastAdminError):
        actions.set_active(alice, bob, False)
    with pytest.raises(LastAdminError):
        actions.set_admin(alice, False)
    with pytest.raises(LastAdminError):
        actions.delete_person(alice, bob)
    alice.refresh_from_db()
    assert (alice.is_active, alice.is_staff) == (True, True)


@pytest.mark.parametrize("what", ["disable", "demote", "delete"])
def test_the_page_says_why(alice: User, alice_client: Client, what: str) -> None:
    page = alice_client.post(f"/settings/users/{alice.pk}/{what}", follow=True)
    assert "at least one active admin" in page.content.decode()
    alice.refresh_from_db()
    assert (alice.is_active, alice.is_staff) == (True, True)


def test_a_disabled_admin_does_not_count(alice: User, bob: User) -> None:
    actions.set_admin(bob, True)
    actions.set_active(bob, alice, False)
    with pytest.raises(LastAdminError):
        actions.set_admin(alice, False)


def test_nobody_disables_oneself(alice: User, bob: User) -> None:
    actions.set_admin(bob, True)
    with pytest.raises(YourselfError):
        actions.set_active(alice, alice, False)
    with pytest.raises(YourselfError):
        actions.delete_person(alice, alice)
    with pytest.raises(YourselfError):
        actions.reset_password(alice, alice)


@pytest.mark.django_db(transaction=True)
def test_two_who_demote_each_other(
    alice: User, bob: User, together: Callable[..., list[Any]]
) -> None:
    actions.set_admin(bob, True)
    results = together(
        lambda: actions.set_admin(bob, False), lambda: actions.set_admin(alice, False)
    )
    assert [type(result) for result in results if result] == [LastAdminError]
    assert User.objects.filter(is_staff=True).count() == 1


def test_djangos_admin_pages_refuse_it_too(alice: User, alice_client: Client) -> None:
    address = f"/admin/accounts/user/{alice.pk}/change/"
    form = {"username": "alice", "theme": "system", "is_superuser": "on", "session_epoch": "0"}
    form |= {"date_joined_0": "2026-01-01", "date_joined_1": "10:00:00"}
    page = alice_client.post(address, form)
    assert "at least one active admin" in page.content.decode()
    assert alice_client.get(f"/admin/accounts/user/{alice.pk}/delete/").status_code == 403
    alice.refresh_from_db()
    assert alice.is_active
