"""The broker of the tests is the real one, empty, and on a unix socket."""

from __future__ import annotations

import redis


def test_it_works(broker: redis.Redis) -> None:
    assert broker.dbsize() == 0
    broker.set("greeting", "hello")
    assert broker.get("greeting") == b"hello"


def test_it_listens_on_no_port(broker: redis.Redis) -> None:
    assert broker.config_get("port") == {"port": "0"}
