"""What a proxy in front says of a visitor is believed of named proxies alone (R14, R18)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from axes.models import AccessAttempt
from channels.testing import WebsocketCommunicator
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from chatsite import asgi
from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.chat.origin import SameOrigin
from chatsite.proxies import Forwarded, named

PROXY, STRANGER = "10.0.0.2", "10.0.0.99"
PROXIES = named([PROXY, "172.16.0.0/12", "::1"])
VISITOR = "203.0.113.7"
Sent = dict[str, str]


def seen(peer: str, headers: Sent, *, https: bool = False, kind: str = "http") -> dict[str, Any]:
    scope = {"type": kind, "client": [peer, 4711], "root_path": "/claimed"}
    listed = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Forwarded(None, PROXIES, https=https).seen({**scope, "headers": listed})


def host(scope: dict[str, Any]) -> list[str]:
    return [value.decode() for name, value in scope["headers"] if name == b"host"]


TOLD = {
    "Host": "10.0.0.2:8000",
    "X-Forwarded-For": VISITOR,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "chat.example.org",
}


@pytest.mark.parametrize(("kind", "scheme"), [("http", "https"), ("websocket", "wss")])
def test_it_works(kind: str, scheme: str) -> None:
    scope = seen(PROXY, TOLD, kind=kind)
    assert scope["client"][0] == VISITOR
    assert scope["scheme"] == scheme
    assert host(scope) == ["chat.example.org"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_a_stranger_is_not_believed(kind: str) -> None:
    scope = seen(STRANGER, TOLD, kind=kind)
    assert scope["client"][0] == STRANGER
    assert "scheme" not in scope
    assert host(scope) == ["10.0.0.2:8000"]
    assert scope["root_path"] == ""


@pytest.mark.parametrize(
    ("claimed", "visitor"),
    [
        (f"1.1.1.1, {VISITOR}", VISITOR),
        (f"127.0.0.1,{VISITOR}", VISITOR),
        (f"{VISITOR}, 172.20.0.5", VISITOR),
        (f"1.1.1.1, {VISITOR}, 172.20.0.5, {PROXY}", VISITOR),
        (f"{VISITOR}:5555", VISITOR),
        ("[2001:db8::9]:443", "2001:db8::9"),
        ("2001:db8::9", "2001:db8::9"),
        (f"::ffff:{VISITOR}", VISITOR),
        # Nobody outside is named: it came from a proxy itself.
        ("172.20.0.5", "172.20.0.5"),
        ("", PROXY),
        # What is before a claim that is none, nobody knows.
        (f"{VISITOR}, unknown", PROXY),
        (f"{VISITOR}, unknown, 172.20.0.5", "172.20.0.5"),
        ("<script>", PROXY),
    ],
)
def test_the_visitor_is_the_last_who_is_no_proxy(claimed: str, visitor: str) -> None:
    assert seen(PROXY, {"X-Forwarded-For": claimed})["client"][0] == visitor


def test_what_a_visitor_claims_before_the_proxy_counts_nothing() -> None:
    """Proxies add to these headers at the end."""
    claims = {"X-Forwarded-For": f"9.9.9.9, {VISITOR}", "X-Forwarded-Proto": "https, http"}
    scope = seen(PROXY, {**claims, "X-Forwarded-Host": "evil.test, chat.example.org"})
    assert (scope["client"][0], scope["scheme"]) == (VISITOR, "http")
    assert host(scope) == ["chat.example.org"]


def test_a_mapped_peer_is_the_same_peer() -> None:
    assert seen(f"::ffff:{PROXY}", TOLD)["client"][0] == VISITOR


def test_https_everywhere_believes_no_header() -> None:
    assert seen(STRANGER, {"X-Forwarded-Proto": "http"}, https=True)["scheme"] == "https"
    assert seen(STRANGER, {}, https=True, kind="websocket")["scheme"] == "wss"


@pytest.mark.parametrize("entry", ["proxy", "*", "0.0.0.0/0", "::/0", "10.0.0.0/99"])
def test_only_addresses_and_networks_are_named(entry: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="CHATSITE_PROXIES"):
        named([entry])


# Through the whole site


async def ask(peer: str, path: str, headers: Sent, body: str = "") -> tuple[int, Sent, bytes]:
    """As daphne hands it over: the scope is what the server saw."""
    names = {"Host": "localhost:8000", **headers}
    scope = {
        "type": "http",
        "method": "POST" if body else "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "client": [peer, 4711],
        "server": ["127.0.0.1", 8000],
        "headers": [(name.lower().encode(), value.encode()) for name, value in names.items()],
    }
    application = Forwarded(asgi.http, PROXIES, https=False)
    talk: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]
    await talk.send_input({"type": "http.request", "body": body.encode()})
    start = await talk.receive_output(10)
    text = b""
    while True:
        part = await talk.receive_output(10)
        text += part.get("body", b"")
        if not part.get("more_body"):
            break
    await talk.wait(10)
    found = [(name.decode().lower(), value.decode()) for name, value in start["headers"]]
    # Only cookies come more than once.
    cookies = "\n".join(value for name, value in found if name == "set-cookie")
    return start["status"], {**dict(found), "set-cookie": cookies}, text


def behind(visitor: str = VISITOR, proto: str = "https") -> Sent:
    return {"X-Forwarded-For": visitor, "X-Forwarded-Proto": proto}


@pytest.mark.django_db(transaction=True)
async def test_cookies_are_secure_as_the_visitor_came(alice: User) -> None:
    _, by_https, _ = await ask(PROXY, "/login", behind())
    _, by_http, _ = await ask(PROXY, "/login", behind(proto="http"))
    _, forged, _ = await ask(STRANGER, "/login", behind())
    assert "Secure" in by_https["set-cookie"]
    assert "csrftoken" in by_http["set-cookie"]
    assert "Secure" not in by_http["set-cookie"] + forged["set-cookie"]


async def sign_in(peer: str, visitor: str) -> int:
    _, told, _ = await ask(peer, "/login", behind(visitor))
    token = told["set-cookie"].partition("csrftoken=")[2].partition(";")[0]
    form = urlencode({"username": "bob", "password": "wrong", "csrfmiddlewaretoken": token})
    headers = {
        **behind(visitor),
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": f"csrftoken={token}",
        "Origin": "https://localhost:8000" if peer == PROXY else "http://localhost:8000",
        "Content-Length": str(len(form)),
    }
    status, _, _ = await ask(peer, "/login", headers, form)
    return status


@pytest.mark.django_db(transaction=True)
async def test_throttling_sees_the_visitor(bob: User) -> None:
    assert await sign_in(PROXY, VISITOR) == 200
    assert await sign_in(PROXY, "203.0.113.8") == 200
    assert await sign_in(STRANGER, "203.0.113.9") == 200
    attempts = AccessAttempt.objects.order_by("pk").values_list("ip_address", flat=True)
    assert [address async for address in attempts] == [VISITOR, "203.0.113.8", STRANGER]


@pytest.mark.django_db(transaction=True)
async def test_r14_a_forwarded_host_is_one_of_ours_or_refused(
    alice: User, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["localhost", "chat.example.org"]
    _, key = await sync_to_async(keys.make_key)(alice)
    good = {**behind(), "X-Forwarded-Host": "chat.example.org", "X-Api-Key": key}
    status, _, text = await ask(PROXY, "/v1/schema", good)
    assert status == 200
    assert b"https://chat.example.org" in text
    status, _, _ = await ask(PROXY, "/healthz", {**behind(), "X-Forwarded-Host": "evil.test"})
    assert status == 400
    status, _, text = await ask(STRANGER, "/v1/schema", good)
    assert b"chat.example.org" not in text


@pytest.mark.parametrize("headers", [behind("127.0.0.1"), {"X-Forwarded-For": "::1"}, {}])
@pytest.mark.parametrize("peer", ["::1", "127.0.0.1"])
@pytest.mark.django_db(transaction=True)
async def test_r18_nobody_behind_a_proxy_is_the_owner_of_this_machine(
    alice: User, settings: Settings, peer: str, headers: Sent
) -> None:
    settings.CHATSITE_LOCAL_OWNER = True
    status, _, _ = await ask(peer, "/v1/models", headers)
    # ::1 is named as a proxy, 127.0.0.1 is not.
    assert status == (200 if peer == "127.0.0.1" and not headers else 401)


@pytest.fixture
def knocks(settings: Settings) -> Callable[[str, Sent], Any]:
    settings.ALLOWED_HOSTS = ["localhost", "chat.example.org"]

    async def open_up(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    async def knock(peer: str, headers: Sent) -> bool:
        listed = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        socket = WebsocketCommunicator(
            Forwarded(SameOrigin(open_up), PROXIES, https=False), "/ws/", headers=listed
        )
        socket.scope["client"] = [peer, 4711]
        connected, _ = await socket.connect()
        return bool(connected)

    return knock


async def test_r18_the_socket_is_open_to_the_page_that_the_visitor_sees(
    knocks: Callable[[str, Sent], Any],
) -> None:
    inner = {"Host": "localhost:8000", "X-Forwarded-Proto": "https"}
    page = {**inner, "X-Forwarded-Host": "chat.example.org", "Origin": "https://chat.example.org"}
    assert await knocks(PROXY, page)
    assert not await knocks(STRANGER, page)
    assert not await knocks(PROXY, {**page, "Origin": "http://chat.example.org"})
    assert not await knocks(PROXY, {**page, "Origin": "https://evil.test"})
    assert not await knocks(PROXY, {**page, "X-Forwarded-Host": "evil.test"})
