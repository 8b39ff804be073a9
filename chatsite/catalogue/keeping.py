"""Tells the workers, again and again, what they may forget: this site's version, who loads which
model, and what is to stay in memory. What is not there is asked for; the engine room does the
rest."""

from __future__ import annotations

import logging
import time

import redis

from chatsite.accounts.models import User
from chatsite.catalogue import actions, copies
from chatsite.catalogue.models import Model
from chatsite.gateway import engines
from chatsite.gateway.tasks import CrowdError

log = logging.getLogger(__name__)
# Seconds between two looks; and the longest pause before one that does not load is asked for again.
PAUSE, LONGEST = 5.0, 600.0


class Keeper:
    """`look` as often as one likes."""

    def __init__(self) -> None:
        self._next = 0.0
        # By name: when it is asked for again, and the pause after that.
        self._asked: dict[str, tuple[float, float]] = {}

    def look(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + PAUSE
        kept = list(Model.objects.filter(keep_loaded=True, enabled=True, provider=None))
        chosen = Model.objects.exclude(nodes=[]).values_list("name", "nodes")
        try:
            engines.announce()
            engines.place(dict(chosen))
            engines.keep([model.name for model in kept])
            copies.follow()
            if kept:
                self._load(kept)
        except (redis.RedisError, CrowdError):
            log.warning("What workers have to know waits for Redis.")

    def _load(self, kept: list[Model]) -> None:
        room = engines.look()
        admin = User.objects.filter(is_staff=True, is_active=True).order_by("pk").first()
        if room is None or not room.workers or admin is None:
            return
        there = {engine.model for engine in room.engines}
        for model in kept:
            if model.name in there:
                self._asked.pop(model.name, None)
            elif self._is_due(model.name):
                engines.load(admin, actions.spec(model))

    def _is_due(self, name: str) -> bool:
        """Less and less often: one that cannot be loaded is no reason to try all day."""
        at, pause = self._asked.get(name, (0.0, 2 * PAUSE))
        if time.monotonic() < at:
            return False
        self._asked[name] = (time.monotonic() + pause, min(2 * pause, LONGEST))
        return True
