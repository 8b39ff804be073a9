"""A ring reaches one worker; this passes it on to the others, of which one may have the model
loaded. It is a hint: what waits is in the waiting sets."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import redis

log = logging.getLogger(__name__)
CHANNEL = "rings"


class Rings(threading.Thread):
    """`hear` gets the model of each ring that some worker got."""

    def __init__(self, client: redis.Redis, hear: Callable[[str], None]) -> None:
        super().__init__(name="rings", daemon=True)
        self._client = client
        self._hear = hear
        self._ending = threading.Event()

    def pass_on(self, model: str) -> None:
        with contextlib.suppress(redis.RedisError):
            self._client.publish(CHANNEL, model)

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                self._listen()
            except (redis.RedisError, OSError):
                # Without it a ring costs half a second.
                self._ending.wait(1)

    def _listen(self) -> None:
        heard: Any = self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        with heard:
            heard.subscribe(CHANNEL)
            while not self._ending.is_set():
                message = heard.get_message(timeout=1.0)
                if message:
                    self._hear(message["data"].decode())

    def close(self) -> None:
        self._ending.set()
        if self.is_alive():
            self.join(timeout=3)
