"""R14: a login is needed unless a view says otherwise, and no Host header talks its way around."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from chatsite.accounts.models import User
from chatsite.api import urls as api
from chatsite.ollama import urls as ollama

# The complete list of what strangers may see. Whoever adds a line says why in the review.
PUBLIC = {
    "setup",
    "login",
    "logout",
    "signup",
    "join",
    "settings-language",
    "javascript-catalog",
    "healthz",
    "readyz",
    # Leads to the chat, which asks for a login.
    "home",
    # It asks for this machine, an admin or a token by itself.
    "metrics",
}
# They ask for a key themselves: tests/site/api/test_keys.py and tests/site/ollama/test_keys.py go
# through all of them.
KEYED = {entry.name for entry in [*api.urlpatterns, *ollama.urlpatterns]}


def patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from patterns(entry)
        else:
            yield entry


def test_it_works(alice: User, client: Client) -> None:
    for address in ("/settings/", "/settings/users", "/admin/"):
        response = client.get(address)
        assert response.headers["Location"].startswith("/login?next="), address


def test_only_the_listed_views_are_public() -> None:
    # Django's admin brings a login page and translations of its own.
    public = {
        entry.name
        for entry in patterns(get_resolver())
        if not getattr(entry.callback, "login_required", True)
        and not entry.callback.__module__.startswith("django.contrib.admin")
    }
    assert public - {"logout"} <= PUBLIC | KEYED
    assert {"setup", "login", "signup", "join"} <= public


@pytest.mark.parametrize(
    "host", ["a/?x=", "localhost/login?", "localhost@evil.test", "evil.test", "[", "a b"]
)
def test_a_forged_host_is_refused_everywhere(alice_client: Client, host: str) -> None:
    for address in ("/settings/", "/login", "/static/css/tokens.css"):
        response = alice_client.get(address, headers={"Host": host})
        assert response.status_code == 400
        assert "Location" not in response.headers


def test_scripts_get_no_login_page(alice: User, client: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "http://testserver/chat/?x=1"}
    fragment = client.get("/settings/", headers=headers)
    assert fragment.status_code == 401
    assert fragment.headers["HX-Redirect"] == "/login?next=/chat/"
    assert fragment.content == b""
    assert client.get("/settings/", headers={"Sec-Fetch-Mode": "cors"}).status_code == 401
    assert client.get("/settings/", headers={"Accept": "application/json"}).status_code == 401


def test_a_foreign_page_in_the_header_leads_nowhere(alice: User, client: Client) -> None:
    headers = {"HX-Request": "true", "HX-Current-URL": "https://evil.test//evil.test/x"}
    target = client.get("/settings/", headers=headers).headers["HX-Redirect"]
    assert target.startswith("/login?next=/")
    client.force_login(alice, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(target).headers["Location"] == "/"
