"""Who is refused at the socket, and what ends it: others' answers, lost rights, foreign pages,
rubbish."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
import redis
from asgiref.sync import sync_to_async
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatsite.accounts import actions as accounts
from chatsite.accounts.models import User
from chatsite.chat.consumers import read
from chatsite.gateway.follow import hub
from chatsite.gateway.models import Generation
from tests.site.chat.socket import Reader, Worker, call, closed, hear, opened, silent

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("own_hub")]
ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def answer(answer: Generation, broker: redis.Redis) -> Generation:
    """Of which three words are written."""
    Worker(broker, answer.pk.hex).write(3)
    return answer


async def test_it_works(bob_client: Client, answer: Generation) -> None:
    async with opened(bob_client) as socket:
        await Reader(socket, answer.pk.hex).follow()
        assert (await hear(socket, "delta"))["text"] == "w1 w2 w3 "


@pytest.mark.parametrize("type", ["follow", "stop"])
async def test_r9_r12_anothers_answer_is_missing(
    charlie_client: Client, alice_client: Client, answer: Generation, broker: redis.Redis, type: str
) -> None:
    """Also for an admin; and nothing about it is told, not even that it exists."""
    for client in (charlie_client, alice_client):
        async with opened(client) as socket:
            for id in (answer.pk.hex, ID):
                await socket.send_json_to({"type": type, "generation": id})
                assert await hear(socket, "missing") == {"type": "missing", "generation": id}
            await socket.send_json_to({"type": "unfollow", "generation": answer.pk.hex})
            assert await silent(socket, "delta", 0.2)
    assert broker.hget(f"run:{answer.pk.hex}", "cancel") is None


async def test_r14_nobody_without_login(db: None) -> None:
    for client in (None, Client()):
        socket = call(client) if client is None else call(cookie="chatsite_session=made-up")
        assert (await socket.connect())[0]
        assert await closed(socket) == 4401
        await socket.disconnect()


def disable(bob: User, alice: User) -> None:
    accounts.set_active(bob, alice, False)


def demote(bob: User, alice: User) -> None:
    accounts.set_admin(bob, False)


def delete(bob: User, alice: User) -> None:
    bob.delete()


def change_password(bob: User, alice: User) -> None:
    bob.set_password("amber-window-31")
    bob.save()


@pytest.mark.parametrize("loss", [disable, demote, delete, change_password])
async def test_r11_a_lost_right_closes_the_socket(
    alice: User, bob: User, charlie_client: Client, loss: Callable[[User, User], None]
) -> None:
    await sync_to_async(accounts.set_admin)(bob, True)
    bob_client = Client()
    await sync_to_async(bob_client.force_login)(
        bob, backend="django.contrib.auth.backends.ModelBackend"
    )
    async with opened(bob_client) as socket, opened(charlie_client) as other:
        began = time.monotonic()
        await sync_to_async(loss)(bob, alice)
        assert await closed(socket) == 4401
        assert time.monotonic() - began < 2
        assert not [listener for listener in hub._listeners if listener.__self__.user == bob]  # type: ignore[attr-defined]
        # Another's stays open.
        await other.send_json_to({"type": "stop", "generation": ID})
        await hear(other, "missing")


async def test_r11_logging_out_closes_this_session_only(bob: User, bob_client: Client) -> None:
    elsewhere = Client()
    await sync_to_async(elsewhere.force_login)(
        bob, backend="django.contrib.auth.backends.ModelBackend"
    )
    async with opened(bob_client) as socket, opened(elsewhere) as other:
        await sync_to_async(bob_client.post)("/logout")
        assert await closed(socket, 2) == 4401
        await other.send_json_to({"type": "stop", "generation": ID})
        await hear(other, "missing")


async def test_r11_a_notice_that_was_lost_is_no_way_in(
    alice: User, bob: User, bob_client: Client, answer: Generation
) -> None:
    """The row is read with every message, whatever the socket was told."""
    async with opened(bob_client) as socket:
        await User.objects.filter(pk=bob.pk).aupdate(is_active=False)
        await Reader(socket, answer.pk.hex).follow()
        assert await closed(socket) == 4401


async def test_r11_what_was_revoked_while_redis_was_away(
    bob: User, bob_client: Client, answer: Generation
) -> None:
    async with opened(bob_client) as socket:
        await Reader(socket, answer.pk.hex).follow()
        await hear(socket, "delta")
        await User.objects.filter(pk=bob.pk).aupdate(is_active=False)
        await hub._fail(redis.ConnectionError())
        await hub._recover()
        assert await closed(socket) == 4401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.test"},
        {"origin": None},
        {"origin": "null"},
        {"origin": "http://localhost:8001"},
        {"origin": "http://localhost"},
        {"origin": "ftp://localhost:8000"},
        {"origin": "http://localhost:8000.evil.test"},
        {"origin": "http://evil.test/http://localhost:8000"},
        {"origin": "http://user@localhost:8000"},
        {"origin": "http://[::1"},
        {"origin": "http://localhost:99999999"},
        {"host": None},
        {"host": "", "origin": "http://"},
        {"host": "evil.test", "origin": "http://evil.test"},
        {"host": "localhost/?x=", "origin": "http://localhost/?x="},
        {"host": "localhost@evil.test", "origin": "http://localhost@evil.test"},
        {"host": "[::1", "origin": "http://[::1"},
        {"host": "*", "origin": "http://*"},
    ],
    ids=str,
)
async def test_r18_r14_a_foreign_page_is_refused(
    bob_client: Client, headers: dict[str, str | None]
) -> None:
    socket = call(bob_client, **headers)
    connected, _ = await socket.connect()
    assert not connected
    await socket.wait()


async def test_r18_every_own_name_comes_in(bob_client: Client) -> None:
    for host in ("localhost:8000", "127.0.0.1:9", "[::1]:8000", "LOCALHOST:8000"):
        async with opened(bob_client, host=host, origin=f"http://{host}") as socket:
            await socket.send_json_to({"type": "stop", "generation": ID})
            await hear(socket, "missing")


RUBBISH = [
    "{",
    "null",
    "[]",
    "1",
    '"follow"',
    "{}",
    "[" * 4000,
    "NaN",
    "x" * 5000,
    json.dumps({"type": "follow"}),
    json.dumps({"type": "follow", "generation": None}),
    json.dumps({"type": "follow", "generation": 1}),
    json.dumps({"type": "follow", "generation": "x"}),
    json.dumps({"type": "follow", "generation": [ID]}),
    json.dumps({"type": "follow", "generation": {"a": 1}}),
    json.dumps({"type": "follow", "generation": ID, "cursor": -1}),
    json.dumps({"type": "follow", "generation": ID, "cursor": 1 << 40}),
    json.dumps({"type": "follow", "generation": ID, "cursor": "1"}),
    json.dumps({"type": "follow", "generation": ID, "cursor": 1.5}),
    json.dumps({"type": "follow", "generation": ID, "cursor": None}),
    json.dumps({"type": ["follow"], "generation": ID}),
    json.dumps({"type": "__init__", "generation": ID}),
    json.dumps({"type": "disconnect", "generation": ID}),
    '{"type": "follow", "generation": "\\ud800"}',
    "\x00",
]


@pytest.mark.parametrize("text", RUBBISH, ids=lambda text: text[:60] or "empty")
async def test_r24_rubbish_closes_politely(bob_client: Client, text: str) -> None:
    async with opened(bob_client) as socket:
        await socket.send_to(text_data=text)
        assert await closed(socket) == 1003


async def test_r24_bytes_close_politely(bob_client: Client) -> None:
    async with opened(bob_client) as socket:
        await socket.send_to(bytes_data=b"\xff\x00" * 100)
        assert await closed(socket) == 1003


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just(ID),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["follow", "unfollow", "stop"]) | JSON,
            "generation": st.just(ID) | JSON,
            "cursor": st.integers() | JSON,
        },
    )
)
def test_r24_a_frame_is_understood_or_refused(frame: dict[str, object]) -> None:
    message = read(json.dumps(frame))
    if message is not None:
        assert message["type"] in {"follow", "unfollow", "stop"}
        assert len(message["generation"]) == 32
        assert 0 <= message["cursor"] < 1 << 31
