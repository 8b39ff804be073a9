"""Display language and appearance: of the account, and before the login of the browser."""

from __future__ import annotations

import pytest
from django.test import Client

from chatsite.accounts.models import User

CHINESE = {"Accept-Language": "zh-CN,zh;q=0.9"}


def test_it_works(bob: User, bob_client: Client) -> None:
    bob_client.post("/settings/language", {"language": "zh-hans", "next": "/settings/"})
    bob.refresh_from_db()
    assert bob.language == "zh-hans"
    assert '<html lang="zh-hans"' in bob_client.get("/settings/").content.decode()


def test_the_browser_decides_at_first(bob_client: Client) -> None:
    page = bob_client.get("/settings/", headers=CHINESE).content.decode()
    assert '<html lang="zh-hans"' in page


def test_the_account_goes_before_the_browser(bob: User, client: Client) -> None:
    User.objects.filter(pk=bob.pk).update(language="en")
    client.post("/login", {"username": "bob", "password": "violet-harbour-7"})
    assert '<html lang="en"' in client.get("/settings/", headers=CHINESE).content.decode()
    client.post("/logout")
    assert '<html lang="en"' in client.get("/login", headers=CHINESE).content.decode()


def test_one_can_go_back_to_the_browsers(bob: User, bob_client: Client) -> None:
    bob_client.post("/settings/language", {"language": "en"})
    bob_client.post("/settings/language", {"language": ""})
    page = bob_client.get("/settings/", headers=CHINESE).content.decode()
    assert '<html lang="zh-hans"' in page


@pytest.mark.usefixtures("alice")
def test_strangers_can_switch_on_the_login_page(client: Client) -> None:
    response = client.post("/settings/language", {"language": "zh-hans", "next": "/login"})
    assert response.headers["Location"] == "/login"
    assert '<html lang="zh-hans"' in client.get("/login").content.decode()


@pytest.mark.parametrize("target", ["https://evil.test/", "//evil.test", "/\\evil.test", ""])
def test_the_switch_leads_to_no_other_site(bob_client: Client, target: str) -> None:
    response = bob_client.post("/settings/language", {"language": "en", "next": target})
    assert response.headers["Location"] == "/"


def test_appearance(bob: User, bob_client: Client) -> None:
    bob_client.post("/settings/appearance", {"theme": "dark"})
    assert 'data-theme="dark"' in bob_client.get("/settings/").content.decode()
    bob_client.post("/settings/appearance", {"theme": "pink"})
    bob.refresh_from_db()
    assert bob.theme == "dark"
