"""R12: every admin page and every admin action asks who it is, each time."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import NoReverseMatch, reverse

from chatsite.accounts import urls
from chatsite.accounts.models import ApiKey, Invitation, User


def admin_addresses() -> list[str]:
    """Every address of the admin, found in the address book itself: a new page cannot hide."""
    names = (str(entry.name) for entry in urls.urlpatterns)
    return sorted(name for name in names if name.startswith(("users", "groups", "site")))


def address_of(name: str, pk: int) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return reverse(name, args=[pk])


def test_it_works(alice_client: Client, bob: User) -> None:
    # Of a key or a group the number stands in the address, where the other pages have a person's.
    ApiKey.objects.create(pk=bob.pk, user=bob, prefix="cs-", hash="0")
    Group.objects.create(pk=bob.pk, name="Readers")
    names = admin_addresses()
    assert {"users", "users-add", "users-disable", "users-delete", "site-invite"} <= set(names)
    codes = {alice_client.get(address_of(name, bob.pk)).status_code for name in names}
    assert codes == {200, 405}


@pytest.mark.parametrize("name", admin_addresses())
def test_bob_is_refused(name: str, alice: User, bob: User, bob_client: Client) -> None:
    address = address_of(name, alice.pk)
    before = list(User.objects.order_by("pk").values_list())
    assert bob_client.get(address).status_code == 403
    form = {"username": "charlie", "sign_up": "open", "days": "7", "max_uses": "1", "name": "x"}
    assert bob_client.post(address, form).status_code == 403
    assert list(User.objects.order_by("pk").values_list()) == before
    assert not Group.objects.exists()
    assert not Invitation.objects.exists()


@pytest.mark.parametrize("name", admin_addresses())
def test_strangers_are_sent_to_the_login(name: str, alice: User, client: Client) -> None:
    address = address_of(name, alice.pk)
    assert client.get(address).headers["Location"].startswith("/login?next=")
    assert client.post(address).headers["Location"].startswith("/login")


def test_a_demoted_admin_is_refused_at_once(alice: User, bob: User, alice_client: Client) -> None:
    User.objects.filter(pk=alice.pk).update(is_staff=False)
    assert alice_client.post(f"/settings/users/{bob.pk}/promote").status_code == 403


def test_djangos_admin_is_for_admins(bob_client: Client) -> None:
    assert bob_client.get("/admin/accounts/user/").status_code == 302
