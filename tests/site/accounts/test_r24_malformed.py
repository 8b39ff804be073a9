"""R24: whatever is sent to the pages of accounts, none of them answers with an error of ours."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import NoReverseMatch, get_resolver, reverse

from chatsite.accounts import actions
from chatsite.accounts import urls as room
from chatsite.accounts.models import User

NAMES = sorted(str(entry.name) for entry in room.urlpatterns)
FORM = "application/x-www-form-urlencoded"
BODIES = [
    (b"", FORM),
    (b"\xff\xfe\x00=\x80", FORM),
    (b"username=%00&password=%00&repeat=%00&current=%00&note=%00&theme=%00&q=%00", FORM),
    (b"username[]=a&username=b&username=c&days=9e9&max_uses=1e309&sign_up[]=open", FORM),
    (b"&".join(b"k%d=v" % n for n in range(1200)), FORM),
    (b"username=" + b"\xf0\x9f\x92\xa9" * 400 + b"&password=" + b"p" * 5000, FORM),
    ("username=\ud800&password=\u202e&language=../../x".encode(errors="surrogatepass"), FORM),
    (b'{"username": {"$gt": ""}}', "application/json"),
    (b'--x\r\nContent-Disposition: form-data; name="username"', "multipart/form-data; boundary=x"),
    (b"nothing", "multipart/form-data"),
    (b"username=a", "text/plain; charset=nonsense"),
    (b"username=a", FORM + "; charset=nonsense"),
    (b"username=a", ""),
]


def address_of(name: str, argument: object) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return reverse(name, args=[argument])


def test_it_works() -> None:
    assert {"setup", "login", "join", "users-reset", "site-invite"} <= set(NAMES)
    assert set(NAMES) <= {name for name in get_resolver().reverse_dict if isinstance(name, str)}


@pytest.mark.parametrize("name", NAMES)
def test_malformed_bodies(name: str, alice: User, bob: User) -> None:
    actions.set_policy("open")
    admin, stranger = Client(raise_request_exception=False), Client(raise_request_exception=False)
    admin.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    address = address_of(name, "x" if name == "join" else bob.pk)
    for body, kind in BODIES:
        for client in (admin, stranger):
            response = client.generic("POST", address, body, content_type=kind)
            assert response.status_code < 500, (body, kind)


@pytest.mark.parametrize("name", NAMES)
def test_odd_methods_and_queries(name: str, alice: User, bob: User) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    address = address_of(name, "x" if name == "join" else bob.pk)
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
        response = client.generic(method, f"{address}?q=%00%ff&token=%ed%a0%80&next=%00")
        assert response.status_code < 500, method


@pytest.mark.parametrize("value", ["", "x" * 5000, "\x00", "a;b", "é", "../.."])
def test_odd_cookies(value: str, alice: User) -> None:
    client = Client(raise_request_exception=False)
    for name in ("chatsite_session", "csrftoken", "django_language", "messages"):
        client.cookies[name] = value
    assert client.get("/login").status_code < 500
    assert client.get("/settings/").status_code < 500
