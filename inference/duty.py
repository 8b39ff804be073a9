"""What a worker is to do: work, rest for maintenance, or nothing since it does not fit the site.
The site says it in Redis, by the worker's name, and it is obeyed within a second."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import redis

from inference import board
from inference.release import OURS, SITE, Release

log = logging.getLogger(__name__)
# Hashes: who is to rest, and which models only some may load.
RESTS, PLACED = "rests", "placed"
# Seconds in which a worker that is to rest finishes what it has begun; then others go on with it.
PATIENCE = 600.0
# How a worker stands: it works, finishes what runs, rests, does not fit the site, has ended.
ON, DRAINING, DRAINED, REFUSED, OFF = "on", "draining", "drained", "refused", "off"


@dataclass(frozen=True, slots=True)
class Orders:
    """What the site said last. `until`: when what runs is handed over; None: it is not to rest."""

    site: Release = field(default_factory=Release)
    until: float | None = None
    # Models that only these workers may load.
    placed: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Duty:
    """One worker's, shared by all of its threads."""

    def __init__(self, name: str = "", *, known: bool = True) -> None:
        """`known`: whether it may begin before the site's word was read."""
        self.name = name
        self._known = known
        self.orders = Orders()
        self._said = ""

    def look(self, client: redis.Redis) -> None:
        """Read the orders anew; what changes is told in the log."""
        self.orders, self._known = read(client, self.name), True
        word = self._word()
        if word != self._said:
            self._said = word
            log.log(logging.INFO if self.fits else logging.ERROR, word or "This worker works.")

    @property
    def fits(self) -> bool:
        return self.orders.site.protocol == OURS.protocol

    @property
    def rests(self) -> bool:
        return self.orders.until is not None

    @property
    def works(self) -> bool:
        return self._known and self.fits and not self.rests

    @property
    def hands_over(self) -> bool:
        """What still runs goes back to the queue, for others."""
        until = self.orders.until
        return until is not None and time.time() > until

    def claims(self, model: str) -> bool:
        """Whether it may take what waits for this model."""
        placed = self.orders.placed.get(model)
        return self.works and (not placed or self.name in placed)

    def state(self, *, busy: bool) -> str:
        """In a word; `busy`: whether an engine or an errand is still there."""
        if not self.fits:
            return REFUSED
        if self.rests:
            return DRAINING if busy else DRAINED
        return ON

    def _word(self) -> str:
        site = self.orders.site
        if not self.fits:
            newer = site.protocol > OURS.protocol
            what = (
                "Install the site's version here, then restart this worker"
                if newer
                else "Update the site, or install its version here and restart this worker"
            )
            return (
                f"This worker takes no work: it has version {OURS.product} (protocol "
                f"{OURS.protocol}), the site has version {site.product or 'unknown'} (protocol "
                f"{site.protocol}). {what}."
            )
        return "This worker rests: it takes nothing new." if self.rests else ""


def read(client: redis.Redis, name: str) -> Orders:
    pipe = client.pipeline(transaction=False)
    pipe.get(SITE)
    pipe.hget(RESTS, name)
    pipe.hgetall(PLACED)
    pipe.time()
    site, until, placed, (seconds, _) = pipe.execute()
    return Orders(
        Release.from_json(site) if site else Release(),
        # By the clock of this machine, which may differ from that of Redis.
        float(until) - seconds + time.time() if until else None,
        {model.decode(): frozenset(json.loads(names)) for model, names in placed.items()},
    )


def rest(client: redis.Redis, name: str, seconds: float = PATIENCE) -> None:
    """This worker takes nothing new, finishes what runs within so many seconds, and unloads. It is
    kept by name, over restarts."""
    client.hset(RESTS, name, str(board.now(client) + seconds))


def resume(client: redis.Redis, name: str) -> None:
    """It works again."""
    client.hdel(RESTS, name)


def resting(client: redis.Redis) -> dict[str, float]:
    """Who is to rest, and when what still runs there is handed over."""
    found: dict[bytes, bytes] = client.hgetall(RESTS)  # type: ignore[assignment]
    return {name.decode(): float(until) for name, until in found.items()}


def place(client: redis.Redis, placed: Mapping[str, Iterable[str]]) -> None:
    """These models are loaded by these workers alone, all others by any."""
    pipe = client.pipeline()
    pipe.delete(PLACED)
    if placed:
        texts = {model: json.dumps(sorted(names)) for model, names in placed.items()}
        pipe.hset(PLACED, mapping=texts)  # type: ignore[arg-type]
    pipe.execute()
