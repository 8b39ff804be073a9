"""Cookies and headers: Secure on https only, nothing readable by scripts, a strict policy."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest
from django.test import Client

from chatsite.accounts.models import User


def log_in(client: Client, secure: bool) -> SimpleCookie:
    client.get("/login", secure=secure)
    form = {"username": "bob", "password": "violet-harbour-7"}
    cookies: SimpleCookie = client.post("/login", form, secure=secure).cookies
    return cookies


def test_it_works(bob: User, client: Client) -> None:
    cookie = log_in(client, secure=False)["chatsite_session"]
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"
    assert not cookie["secure"]


def test_https_cookies_stay_on_https(bob: User, client: Client) -> None:
    cookies = log_in(client, secure=True)
    assert {"chatsite_session", "csrftoken"} <= set(cookies)
    assert all(cookie["secure"] for cookie in cookies.values())


@pytest.mark.django_db
def test_the_policy_is_strict(client: Client) -> None:
    response = client.get("/setup")
    policy = dict(
        part.strip().split(" ", 1)
        for part in response.headers["Content-Security-Policy"].split(";")
    )
    assert policy == {
        "default-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "object-src": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "form-action": "'self'",
    }
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.django_db
def test_other_sites_are_not_invited(client: Client) -> None:
    response = client.get("/setup", headers={"Origin": "http://evil.test"})
    assert not [name for name in response.headers if name.lower().startswith("access-control")]


@pytest.mark.django_db
@pytest.mark.parametrize("secure", [True, False])
def test_windows_are_kept_apart_where_browsers_can(client: Client, *, secure: bool) -> None:
    header = client.get("/setup", secure=secure).headers.get("Cross-Origin-Opener-Policy")
    assert header == ("same-origin" if secure else None)
