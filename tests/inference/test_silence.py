"""A Redis that takes connections and says nothing, as one behind a network that fails: nobody waits
for it without a limit."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest
import redis
import redis.asyncio
from celery import Celery
from kombu.exceptions import OperationalError

from inference import silence


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(silence, "PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def test_it_works(silent: str) -> None:
    began = time.monotonic()
    with (
        redis.Redis.from_url(silent, **silence.options(silent)) as client,
        pytest.raises(redis.TimeoutError),
    ):
        client.ping()
    assert time.monotonic() - began < 2


async def test_in_the_event_loop(silent: str) -> None:
    client = redis.asyncio.Redis.from_url(silent, **silence.options(silent))
    async with asyncio.timeout(2):
        with pytest.raises(redis.TimeoutError):
            await client.ping()
    await client.aclose()


def test_a_ring(silent: str) -> None:
    app = Celery("silence", fixups=[])
    app.conf.update(broker_url=silent, broker_transport_options=silence.ringing())
    began = time.monotonic()
    with pytest.raises(OperationalError):
        app.send_task("inference.ring", args=["echo"], retry=False)
    assert time.monotonic() - began < 4
    app.close()


def test_the_other_end_of_an_idle_connection_is_asked(valkey: str) -> None:
    if not hasattr(socket, "TCP_KEEPIDLE"):
        pytest.skip("This system cannot be told when to ask.")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        made = redis.Redis.from_url(url, **silence.options(url)).connection_pool.make_connection()
        line = made._connect()  # type: ignore[attr-defined]
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == silence.IDLE
        line.close()
    # A socket of this machine is asked nothing.
    with redis.Redis.from_url(valkey, **silence.options(valkey)) as client:
        assert client.ping()
