"""Under which names the site answers, and what it says to everybody else."""

from __future__ import annotations

import socket

import psutil
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from pytest_django.fixtures import Settings

from chatsite import hosts


def test_it_works(client: Client) -> None:
    response = client.get("/login", headers={"Host": "chat.example.org:8000"})
    page = response.content.decode()
    assert response.status_code == 400
    assert "chat.example.org:8000" in page
    assert "CHATSITE_HOSTS=chat.example.org<" in page
    assert 'lang="zh-hans"' in page


def test_the_asked_host_is_escaped(client: Client) -> None:
    response = client.get("/login", headers={"Host": '<script>alert("1")</script>'})
    assert "<script>" not in response.content.decode()
    assert "CHATSITE_HOSTS=" not in response.content.decode()
    assert "script-src" not in response.headers["Content-Security-Policy"]
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_loopback_only_by_default() -> None:
    for bind in ("", "127.0.0.1", "localhost", "::1", "[::1]", "127.0.0.2"):
        assert hosts.known(bind, []) == ["localhost", "127.0.0.1", "[::1]"]


def test_the_lan_bind_adds_the_machine() -> None:
    known = hosts.known("0.0.0.0", ["Chat.Example.org:8000", " "])  # noqa: S104 - the case
    assert "chat.example.org" in known
    assert socket.gethostname().lower() in known
    assert f"{socket.gethostname().lower().split('.')[0]}.local" in known
    cards = [card for group in psutil.net_if_addrs().values() for card in group]
    for card in cards:
        if card.family == socket.AF_INET:
            assert card.address in known
    assert not [host for host in known if "*" in host or "%" in host or host.startswith(".")]


@pytest.mark.parametrize(
    ("given", "kept"),
    [("[fd00::1]", "[fd00::1]"), ("[fd00::1]:80", "[fd00::1]"), ("10.0.0.5:8000", "10.0.0.5")],
)
def test_addresses_with_ports_are_understood(given: str, kept: str) -> None:
    assert hosts.check(given) == kept


@pytest.mark.parametrize("name", ["*", "*.example.org", "http://chat.example.org"])
def test_wildcards_and_addresses_of_pages_are_refused(name: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        hosts.known("", [name])


@pytest.mark.django_db
def test_a_form_works_by_lan_address_over_http(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["192.168.1.7"]
    browser = Client(enforce_csrf_checks=True)
    lan = {"Host": "192.168.1.7:8000", "Origin": "http://192.168.1.7:8000"}
    browser.get("/setup", headers=lan)
    form = {"username": "alice", "password": "violet-harbour-7", "repeat": "violet-harbour-7"}
    form["csrfmiddlewaretoken"] = browser.cookies["csrftoken"].value
    foreign = browser.post("/setup", form, headers={**lan, "Origin": "http://evil.test"})
    assert foreign.status_code == 403
    assert browser.post("/setup", form, headers=lan).headers["Location"] == "/"
