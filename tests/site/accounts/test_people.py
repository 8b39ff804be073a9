"""The admin's pages about accounts."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from chatsite.accounts.models import User


def shown_password(page: str) -> str:
    found = re.search(r'id="secret"[^>]* value="([^"]+)"', page)
    assert found is not None
    return found[1]


def test_it_works(alice_client: Client, client: Client) -> None:
    page = alice_client.post("/settings/users/new", {"username": "bob", "password": ""})
    password = shown_password(page.content.decode())
    assert "no-store" in page.headers["Cache-Control"]
    assert client.post("/login", {"username": "bob", "password": password}).status_code == 302
    assert client.get("/settings/").headers["Location"] == "/settings/password"
    assert "bob" in alice_client.get("/settings/users").content.decode()


def test_the_admin_may_choose_the_password(alice_client: Client) -> None:
    form = {"username": "bob", "password": "chosen-by-alice-1"}
    alice_client.post("/settings/users/new", form)
    bob = User.objects.get(username="bob")
    assert bob.check_password("chosen-by-alice-1")
    assert bob.must_change_password


@pytest.mark.parametrize("name", ["bob", "Bob", "", "a b", "a\0b"])
def test_it_refuses_bad_and_taken_names(alice_client: Client, bob: User, name: str) -> None:
    page = alice_client.post("/settings/users/new", {"username": name, "password": ""})
    assert 'class="field__error"' in page.content.decode()
    assert User.objects.count() == 2


def test_reset_shows_a_new_password_once(alice_client: Client, bob: User) -> None:
    page = alice_client.post(f"/settings/users/{bob.pk}/reset").content.decode()
    bob.refresh_from_db()
    assert bob.check_password(shown_password(page))
    assert bob.must_change_password
    assert "secret" not in alice_client.get(f"/settings/users/{bob.pk}").content.decode()


def test_disable_and_enable(alice_client: Client, bob: User) -> None:
    alice_client.post(f"/settings/users/{bob.pk}/disable")
    bob.refresh_from_db()
    assert not bob.is_active
    alice_client.post(f"/settings/users/{bob.pk}/enable")
    bob.refresh_from_db()
    assert bob.is_active


def test_make_admin_and_back(alice_client: Client, bob: User) -> None:
    alice_client.post(f"/settings/users/{bob.pk}/promote")
    bob.refresh_from_db()
    assert (bob.is_staff, bob.is_superuser) == (True, True)
    alice_client.post(f"/settings/users/{bob.pk}/demote")
    bob.refresh_from_db()
    assert (bob.is_staff, bob.is_superuser) == (False, False)


def test_delete_asks_first(alice_client: Client, bob: User) -> None:
    assert "Delete bob?" in alice_client.get(f"/settings/users/{bob.pk}/delete").content.decode()
    assert User.objects.filter(pk=bob.pk).exists()
    response = alice_client.post(f"/settings/users/{bob.pk}/delete", follow=True)
    assert "bob is deleted" in response.content.decode()
    assert not User.objects.filter(pk=bob.pk).exists()


def test_search(alice_client: Client, bob: User, charlie: User) -> None:
    page = alice_client.get("/settings/users?q=CHAR").content.decode()
    assert "charlie" in page
    assert f"/settings/users/{bob.pk}" not in page
    assert "Nobody with this name" in alice_client.get("/settings/users?q=zzz%00").content.decode()


def test_unknown_people_are_not_found(alice_client: Client) -> None:
    for pk in (0, 987654, 10**30):
        assert alice_client.get(f"/settings/users/{pk}").status_code == 404
        assert alice_client.post(f"/settings/users/{pk}/disable").status_code == 404


def test_the_list_needs_few_queries(
    alice_client: Client, django_assert_max_num_queries: object
) -> None:
    User.objects.bulk_create(User(username=f"person{n}") for n in range(150))
    with django_assert_max_num_queries(5):  # type: ignore[operator]
        assert "person149" in alice_client.get("/settings/users").content.decode()
