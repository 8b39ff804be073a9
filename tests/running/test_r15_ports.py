"""R15: no port but the web's is open, on any address; engines and broker are reached by pipes and
sockets of the file system."""

from __future__ import annotations

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.live import Site

pytestmark = pytest.mark.live


def test_it_works(site: Site) -> None:
    listening = {
        (process.name(), place.laddr.port)
        for process in site.processes()
        for place in process.net_connections(kind="inet")
        if place.status == psutil.CONN_LISTEN
    }
    assert {port for _, port in listening} == {site.port}


def test_r24_a_huge_frame_is_refused_while_it_comes(site: Site) -> None:
    person = site.person("alice")
    address = site.url.replace("http", "ws", 1) + "/ws/"
    headers = {"Cookie": person.cookie}
    web = site.pid("web")
    with (
        connect(address, origin=Origin(site.url), additional_headers=headers) as socket,
        pytest.raises(ConnectionClosed),
    ):
        flood(socket)
    assert site.pid("web") == web
    assert person.get("/healthz").status == 200


def flood(socket: ClientConnection) -> None:
    """The site may hang up while the frame is still being sent, or after it."""
    socket.send("x" * (4 << 20))
    while True:
        socket.recv(timeout=5)
