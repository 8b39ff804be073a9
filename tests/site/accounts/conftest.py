"""What the tests of accounts share: threads at one moment, the notices that were published."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.db import connection

from chatsite.accounts.errors import Refused


@pytest.fixture
def together() -> Callable[..., list[Any]]:
    """Runs the actions in threads that start at one moment; gives results and refusals."""

    def run(*actions: Callable[[], Any]) -> list[Any]:
        start = threading.Barrier(len(actions))
        results: list[Any] = [None] * len(actions)

        def one(index: int, action: Callable[[], Any]) -> None:
            start.wait()
            try:
                results[index] = action()
            except Refused as refusal:
                results[index] = refusal
            finally:
                connection.close()

        threads = [threading.Thread(target=one, args=pair) for pair in enumerate(actions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        return results

    return run


@pytest.fixture
def revoked(broker: redis.Redis) -> Callable[[], list[tuple[int, str | None]]]:
    """Whose sockets every web process was told to close: (user, session) in order."""

    def read() -> list[tuple[int, str | None]]:
        entries: Any = broker.xrange("notices")
        notices = [json.loads(fields[b"n"]) for _id, fields in entries]
        return [(n["user"], n["session"]) for n in notices if n["topic"] == "revoked"]

    return read
