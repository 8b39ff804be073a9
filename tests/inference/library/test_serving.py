"""What a worker gives to the other workers of its site: files that a manifest lists, to those who
can sign, and nothing else to anybody (R6)."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from inference.library import keys, serving
from inference.library.keys import Keyring
from inference.library.serving import MOST, Server, Serving, path_of, reached_by
from inference.library.store import Store
from inference.settings import Settings, read
from tests.inference.library.stores import bring, echo, gguf, store

__all__ = ["echo", "store"]
NODE = "here-abc-1"


class Shop:
    """A server with one model, and a way to ask it."""

    def __init__(self, store: Store, broker: redis.Redis, folder: str) -> None:
        self.store, self.folder = store, folder
        self.keys = Keyring(broker)
        self.server = Server("127.0.0.1", 0, store, Keyring(broker), NODE)
        self.path = path_of(folder, "small.gguf")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def ask(self, path: str = "", method: str = "GET", **headers: str) -> tuple[int, bytes]:
        path = path or self.path
        shown = {"Authorization": self.keys.sign(NODE, path), **headers}
        talk = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            talk.request(method, path, headers=shown)
            answer = talk.getresponse()
            return answer.status, answer.read()
        finally:
            talk.close()


@pytest.fixture
def shop(store: Store, broker: redis.Redis, echo: None, tmp_path: Path) -> Iterator[Shop]:
    landed = bring(store, gguf(tmp_path / "small.gguf"))
    made = Shop(store, broker, landed.folder)
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_it_works(shop: Shop) -> None:
    data = (shop.store.path(shop.folder) / "small.gguf").read_bytes()
    assert shop.ask() == (200, data)
    assert shop.ask(Range="bytes=100-") == (206, data[100:])
    assert shop.ask(Range="bytes=100-199") == (206, data[100:200])
    assert shop.ask(Range=f"bytes={len(data)}-") == (416, b"")
    assert shop.ask(Range="bytes=-5") == (200, data)


def test_several_requests_on_one_connection(shop: Shop) -> None:
    talk = http.client.HTTPConnection("127.0.0.1", shop.server.port, timeout=10)
    for _ in range(3):
        talk.request("GET", shop.path, headers={"Authorization": shop.keys.sign(NODE, shop.path)})
        answer = talk.getresponse()
        assert answer.status == 200
        answer.read()
    talk.close()


def test_who_cannot_sign_gets_nothing(shop: Shop, broker: redis.Redis) -> None:
    good = shop.keys.sign(NODE, shop.path)
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    other = shop.keys.sign(NODE, shop.path + "x")
    elsewhere = shop.keys.sign("there-def-1", shop.path)
    for shown in ("", "Chatsite", "Bearer x", wrong, other, elsewhere, good + " ", good.upper()):
        assert shop.ask(Authorization=shown) == (403, b""), shown
    # A path that is none is not told apart.
    assert shop.ask("/", Authorization="") == (403, b"")
    assert shop.ask(Authorization=good)[0] == 200


def test_what_was_signed_long_ago_is_worth_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = Keyring._now
    for ahead in (-keys.WINDOW - 5, keys.WINDOW + 5):
        with monkeypatch.context() as patch:
            patch.setattr(Keyring, "_now", lambda self, ahead=ahead: now(self) + ahead)
            shown = shop.keys.sign(NODE, shop.path)
        assert shop.ask(Authorization=shown) == (403, b"")


def test_a_clock_that_is_wrong_does_no_harm(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 86_400 * 400)
    assert shop.ask()[0] == 200


def test_a_secret_that_redis_lost_is_made_anew(shop: Shop, broker: redis.Redis) -> None:
    before = shop.keys.sign(NODE, shop.path)
    assert shop.ask()[0] == 200
    broker.flushall()
    after = shop.keys.sign(NODE, shop.path)
    assert after != before
    threading.Event().wait(keys.PAUSE + 0.1)
    assert shop.ask(Authorization=after)[0] == 200
    assert shop.ask(Authorization=before)[0] == 403


def test_the_secret_is_another_each_day(broker: redis.Redis) -> None:
    Keyring(broker).sign(NODE, "/")
    (name,) = broker.keys("peers:*")
    assert 0 < broker.ttl(name) <= 2 * keys.DAY
    assert len(broker.get(name) or b"") == 64


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/models",
        "/models/",
        "/models/FOLDER",
        "/models/FOLDER/",
        "/models/FOLDER/manifest.json",
        "/models/FOLDER/secret.txt",
        "/models/FOLDER/small.gguf/",
        "/models/FOLDER/small.gguf?x",
        "/models/FOLDER/../FOLDER/small.gguf",
        "/models/FOLDER/%2e%2e/FOLDER/small.gguf",
        "/models/FOLDER%2fsmall.gguf",
        "/models/%2e%2e/secret.txt",
        "/models/../../../etc/passwd",
        "/models//etc/passwd",
        "/models/.incoming/small.gguf",
        "/models/FOLDER/small.gguf%00",
        "http://elsewhere/models/FOLDER/small.gguf",
    ],
)
def test_nothing_outside_the_manifest(shop: Shop, path: str) -> None:
    (shop.store.path(shop.folder) / "secret.txt").write_text("no")
    (shop.store.data_dir / "secret.txt").write_text("no")
    assert shop.ask(path.replace("FOLDER", shop.folder)) == (404, b"")


def test_a_link_leads_nowhere(shop: Shop, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("no")
    file = shop.store.path(shop.folder) / "small.gguf"
    file.unlink()
    file.symlink_to(secret)
    assert shop.ask() == (404, b"")
    file.unlink()
    os.mkfifo(file)
    assert shop.ask() == (404, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE"])
def test_nothing_but_get(shop: Shop, method: str) -> None:
    assert shop.ask(method=method) == (501, b"")


def test_more_than_a_few_are_told_to_come_later(shop: Shop) -> None:
    """Silent ones hold a place for a while, and no thread is made for more."""
    before = threading.active_count()
    silent = [socket.create_connection(("127.0.0.1", shop.server.port)) for _ in range(MOST)]
    try:
        end = threading.Event()
        while threading.active_count() < before + MOST:
            end.wait(0.01)
        talk = socket.create_connection(("127.0.0.1", shop.server.port))
        talk.settimeout(5)
        assert talk.recv(100).startswith(b"HTTP/1.1 503 ")
        talk.close()
    finally:
        for each in silent:
            each.close()
    while threading.active_count() > before:
        end.wait(0.01)
    assert shop.ask()[0] == 200


def test_strangers_who_say_little_keep_no_place(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "SHOWN", 0.5)
    with socket.create_connection(("127.0.0.1", shop.server.port), timeout=5) as talk:
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 5:
                talk.sendall(b"G")
                time.sleep(0.1)
        assert time.monotonic() - began < 3
    assert shop.ask()[0] == 200


def test_rubbish_is_answered_shortly(shop: Shop) -> None:
    for rubbish in (b"\0\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"x" * 70_000):
        with socket.create_connection(("127.0.0.1", shop.server.port), timeout=5) as talk:
            talk.sendall(rubbish)
            talk.shutdown(socket.SHUT_WR)
            assert len(talk.recv(1000)) < 300
    assert shop.ask()[0] == 200


def opened(settings: Settings, broker: redis.Redis) -> Any:
    made = Serving(settings, broker, lambda: NODE)
    made.look()
    return made


def test_it_is_off_where_no_other_machine_can_be(broker: redis.Redis, tmp_path: Path) -> None:
    known = {"CHATSITE_DATA_DIR": str(tmp_path)}
    socketed = known | {"REDIS_URL": "unix:///tmp/x"}
    off = known | {"REDIS_URL": "redis://127.0.0.1:6379", "CHATSITE_NODE_PORT": "off"}
    for environ in (socketed, off):
        assert opened(read(environ), broker).address == ""


def test_it_stands_where_redis_is_reached_from(broker: redis.Redis, tmp_path: Path) -> None:
    known = {"CHATSITE_DATA_DIR": str(tmp_path), "REDIS_URL": "redis://:p%40ss@localhost:1/0"}
    made = opened(read(known), broker)
    host, _, port = made.address.rpartition(":")
    assert host.strip("[]") in {"127.0.0.1", "::1"}
    assert int(port) > 0
    made.close()
    assert made.address == ""
    assert reached_by("redis://127.0.0.1:6379") == "127.0.0.1"


def test_others_may_be_told_another_address(broker: redis.Redis, tmp_path: Path) -> None:
    known = {"CHATSITE_DATA_DIR": str(tmp_path), "REDIS_URL": "redis://127.0.0.1:1"}
    made = opened(read(known | {"CHATSITE_NODE_ADDRESS": "192.168.1.7:8100"}), broker)
    assert made.address == "192.168.1.7:8100"
    made.close()


def test_a_port_that_is_taken_stops_no_worker(broker: redis.Redis, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        known = {
            "CHATSITE_DATA_DIR": str(tmp_path),
            "REDIS_URL": "redis://127.0.0.1:1",
            "CHATSITE_NODE_PORT": str(taken.getsockname()[1]),
        }
        assert opened(read(known), broker).address == ""
