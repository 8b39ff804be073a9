"""How workers of one site know each other: by a secret of the day that whoever reaches their Redis
can read, and by its clock, so that a machine whose own clock is wrong is understood. The secret
itself never travels between them."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time

import redis

SCHEME = "Chatsite"
HEADER = re.compile(rf"{SCHEME} (\d{{1,12}})\.([0-9a-f]{{64}})")
DAY = 86400
# Seconds for which a signature is good, for which the clock of Redis is remembered, and between two
# looks for a secret that Redis may have lost.
WINDOW, REMEMBERED, PAUSE = 120, 60.0, 1.0


class Keyring:
    """One process's; any thread may ask."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._known: dict[int, bytes] = {}
        # What the clock of Redis is ahead of ours, when that was asked, and when a secret was.
        self._ahead = 0.0
        self._asked = self._looked = float("-inf")

    def sign(self, node: str, path: str) -> str:
        """What shows to the worker `node` that one of the site's asks for this path. Raises
        redis.RedisError."""
        now = int(self._now())
        name = _name(now // DAY)
        # Whoever comes first makes it; it outlives its day by as much as a signature lives.
        self._client.set(name, secrets.token_hex(32), nx=True, ex=2 * DAY)
        found = self._client.get(name)
        assert isinstance(found, bytes)
        return f"{SCHEME} {now}.{_digest(found, now, node, path)}"

    def accepts(self, header: str, node: str, path: str) -> bool:
        """Whether that was signed a moment ago. Raises redis.RedisError where nothing is known."""
        told = HEADER.fullmatch(header)
        if not told or abs(self._now() - int(told[1])) > WINDOW:
            return False
        at, day = int(told[1]), int(told[1]) // DAY
        if self._matches(self._known.get(day), told[2], at, node, path):
            return True
        return self._matches(self._look(day), told[2], at, node, path)

    def _matches(self, key: bytes | None, digest: str, at: int, node: str, path: str) -> bool:
        return key is not None and hmac.compare_digest(_digest(key, at, node, path), digest)

    def _look(self, day: int) -> bytes | None:
        """As Redis has it now. Not more often than is good for it, whoever knocks."""
        with self._lock:
            if time.monotonic() - self._looked > PAUSE:
                found = self._client.get(_name(day))
                self._looked = time.monotonic()
                if isinstance(found, bytes):
                    self._known = {day: found}
            return self._known.get(day)

    def _now(self) -> float:
        """By the clock of Redis, as it was asked of late."""
        with self._lock:
            if time.monotonic() - self._asked > REMEMBERED:
                try:
                    told: tuple[int, int] = self._client.time()
                except redis.RedisError:
                    # It was not far from that a while ago.
                    if self._asked == float("-inf"):
                        raise
                else:
                    self._ahead = told[0] + told[1] / 1e6 - time.monotonic()
                    self._asked = time.monotonic()
            return time.monotonic() + self._ahead


def _name(day: int) -> str:
    return f"peers:{day}"


def _digest(key: bytes, at: int, node: str, path: str) -> str:
    return hmac.new(key, f"{at}\n{node}\n{path}".encode(), hashlib.sha256).hexdigest()
