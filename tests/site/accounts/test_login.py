"""Login and logout."""

from __future__ import annotations

import pytest
from django.test import Client

from chatsite.accounts.models import User

RIGHT = {"username": "bob", "password": "violet-harbour-7"}


def test_it_works(bob: User, client: Client) -> None:
    assert client.get("/settings/").headers["Location"] == "/login?next=/settings/"
    response = client.post("/login?next=/settings/", {**RIGHT, "next": "/settings/"})
    assert response.headers["Location"] == "/settings/"
    assert client.get("/settings/").status_code == 200


def test_the_case_of_the_name_does_not_matter(bob: User, client: Client) -> None:
    assert client.post("/login", {**RIGHT, "username": "Bob"}).status_code == 302


def test_wrong_and_disabled_look_the_same(bob: User, charlie: User, client: Client) -> None:
    charlie.is_active = False
    charlie.save()
    pages = [
        client.post("/login", {"username": name, "password": password}).content.decode()
        for name, password in [
            ("bob", "wrong"),
            ("nobody", "wrong"),
            ("charlie", "violet-harbour-7"),
        ]
    ]
    assert all("do not go together" in page for page in pages)
    assert "_auth_user_id" not in client.session


@pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test", "javascript:alert(1)"])
def test_it_never_leads_to_another_site(bob: User, client: Client, target: str) -> None:
    response = client.post("/login", {**RIGHT, "next": target})
    assert response.headers["Location"] == "/"


def test_logout_is_a_post(bob_client: Client) -> None:
    assert bob_client.get("/logout").status_code == 405
    assert bob_client.post("/logout").headers["Location"] == "/login"
    assert bob_client.get("/settings/").status_code == 302


def test_who_is_logged_in_skips_the_page(bob_client: Client) -> None:
    assert bob_client.get("/login").headers["Location"] == "/"
