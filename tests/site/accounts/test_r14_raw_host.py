"""R14 on a raw socket: no HTTP library in between that would tidy the Host header up."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

APPLICATION = "chatsite.asgi:application"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The real web server. It needs no database: these requests end at the front door."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(free), APPLICATION]
    settings = {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    with subprocess.Popen(
        command, env={**os.environ, **settings}, stderr=subprocess.DEVNULL
    ) as web:
        try:
            wait(free)
            yield free
        finally:
            web.terminate()


def wait(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < until, "the web server did not start"
            time.sleep(0.1)
        else:
            return


def ask(port: int, head: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(head + b"Connection: close\r\n\r\n")
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
    return b"".join(parts)


def test_it_works(port: int) -> None:
    answer = ask(port, b"GET /healthz HTTP/1.1\r\nHost: localhost:%d\r\n" % port)
    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "host",
    [
        b"a/?x=",
        b"localhost/healthz?x=",
        b"localhost#",
        b"localhost\\@evil.test",
        b"evil.test",
        b"evil.test:80",
        b"localhost.evil.test",
        b"0.0.0.0",
        b"\xff\xfe",
        b"<b>",
        b"",
    ],
)
@pytest.mark.parametrize("path", [b"/healthz", b"/settings/users", b"/admin/", b"//evil.test/"])
def test_a_forged_host_is_refused(port: int, host: bytes, path: bytes) -> None:
    answer = ask(port, b"GET %s HTTP/1.1\r\nHost: %s\r\n" % (path, host))
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"\r\nLocation:" not in answer
    assert b"<b>" not in answer


def test_a_whole_address_in_the_request_line_changes_nothing(port: int) -> None:
    head = b"GET http://localhost/healthz HTTP/1.1\r\nHost: evil.test\r\n"
    assert ask(port, head).startswith(b"HTTP/1.1 400")


def test_forwarded_names_are_not_believed(port: int) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: localhost\r\n"
    assert ask(port, head).startswith(b"HTTP/1.1 400")
