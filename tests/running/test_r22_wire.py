"""R22: what daphne would keep without bounds: a huge body, and a stream that its reader does not
read."""

from __future__ import annotations

import json
import socket
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.live import Site

pytestmark = pytest.mark.live

LAST = """
from chatsite.gateway.models import Generation
print(Generation.objects.order_by("created").last().status)
"""


@pytest.fixture
def key(site: Site) -> str:
    site.wait_ready()
    site.person("alice")
    return site.manage("apikey", "alice").strip()


def test_it_works(site: Site, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = b" " * (17 << 20)
    with pytest.raises(HTTPError) as refused:
        urlopen(Request(site.url + "/v1/chat/completions", body, headers), timeout=60)
    with refused.value as answer:
        assert answer.code == 413
        assert json.load(answer)["error"]["code"] == "request_too_large"
    with urlopen(Request(site.url + "/v1/models", headers=headers), timeout=60) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/chat"])
def test_a_reader_that_does_not_read_is_cut_off(site: Site, key: str, path: str) -> None:
    said = " ".join(["x" * 20_000] * 300)
    fields = {"model": "echo", "stream": True, "messages": [{"role": "user", "content": said}]}
    body = json.dumps(fields).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect(("127.0.0.1", site.port))
        reader.sendall(head.encode() + body)
        assert reader.recv(12) == b"HTTP/1.1 200"
        until = time.monotonic() + 60
        while (status := site.shell(LAST).strip()) == "live":
            assert time.monotonic() < until, "it goes on and nobody reads"
            time.sleep(0.3)
    assert status == "stopped"
