"""The pages for what goes wrong, in the product's look."""

from __future__ import annotations

from django.template.loader import get_template
from django.test import Client, RequestFactory
from django.views.defaults import server_error

from chatsite.accounts.models import User


def test_it_works(bob_client: Client) -> None:
    response = bob_client.get("/no/such/page")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_forbidden(bob: User, bob_client: Client) -> None:
    response = bob_client.get("/settings/users")
    assert response.status_code == 403
    assert "not for you" in response.content.decode()


def test_a_lost_csrf_token(alice: User) -> None:
    browser = Client(enforce_csrf_checks=True)
    response = browser.post("/login", {"username": "alice", "password": "x"})
    assert response.status_code == 403
    assert "reload the page" in response.content.decode()


def test_the_page_for_our_own_mistakes_needs_no_database() -> None:
    response = server_error(RequestFactory().get("/"))
    assert response.status_code == 500
    assert "Something went wrong" in response.content.decode()
    # Nor another template, nor a script.
    source = get_template("500.html").template.source  # type: ignore[attr-defined]
    assert "{% extends" not in source
    assert "{% include" not in source
    assert "<script" not in source
