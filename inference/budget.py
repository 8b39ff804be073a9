"""The memory that the models of one worker share: who may load, who makes room, who waits. It asks
Hosts to leave; it ends none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from inference.engines.base import Setup
from inference.fit import Plan, TooLargeError
from inference.plans import Draw

# A tenant that has not asked again for this long does not wait any more, in seconds.
GIVEN_UP = 5.0


class ShortError(Exception):
    """Others hold the memory just now. The tenant is rung when something is free."""


class Tenant(Protocol):
    """A Host as the budget sees it. All of this may be called from any thread."""

    @property
    def idle(self) -> bool:
        """Loaded, and nobody uses it."""

    @property
    def used(self) -> float:
        """When it was used last, by the monotonic clock."""

    @property
    def private(self) -> int:
        """Bytes that its engine has taken so far, files that can be read again aside."""

    def leave(self) -> None:
        """Take nothing new, and unload when nothing runs any more."""

    def ring(self) -> None:
        """Look again."""


@dataclass(slots=True)
class Wait:
    """Since when a tenant waits for memory, and when it asked last."""

    since: float
    asked: float


class Budget:
    """`measure` tells what the system has free; `limit` is what the admin allows, 0: all of it."""

    def __init__(self, measure: Callable[[], int], limit: int = 0, turn_s: float = 60.0) -> None:
        self._measure = measure
        self._limit = limit
        self._turn_s = turn_s
        self._lock = threading.Lock()
        # In the order in which they were loaded.
        self._held: dict[Tenant, int] = {}
        self._waiting: dict[Tenant, Wait] = {}

    def reserve(self, tenant: Tenant, draw: Draw) -> Setup:
        """Hold what the plan takes; ShortError where that has to wait, TooLargeError where it could
        never be."""
        with self._lock:
            self._held.pop(tenant, None)
            plan = self._try(draw, ())
            if plan is None or plan.cramped:
                self._make_room(tenant, draw, plan)
            if plan is None:
                self._wait(tenant, draw)
                raise ShortError
            if not plan.away:
                self._held[tenant] = plan.bytes
            self._waiting.pop(tenant, None)
            return plan.setup

    def release(self, tenant: Tenant) -> None:
        """What it held is free; those who wait look again."""
        with self._lock:
            if self._held.pop(tenant, None) is None:
                return
            waiting = list(self._waiting)
        for other in waiting:
            other.ring()

    def _left(self, gone: Collection[Tenant]) -> int:
        """Bytes that are free when these have left. What others hold and have not taken yet is not
        free, though the system says so."""
        free, limit = self._measure(), self._limit
        for tenant, held in self._held.items():
            private = tenant.private
            if tenant in gone:
                free += private
            else:
                free -= max(0, held - private)
                limit -= held
        return min(free, limit) if self._limit else free

    def _try(self, draw: Draw, gone: Collection[Tenant]) -> Plan | None:
        try:
            return draw(self._left(gone))
        except TooLargeError:
            return None

    def _make_room(self, tenant: Tenant, draw: Draw, plan: Plan | None) -> None:
        """Where idle ones stand in the way of a (better) plan, they are asked to leave, those that
        nobody has used for the longest first, and it is waited for them."""
        idle = sorted((each for each in self._held if each.idle), key=lambda each: each.used)
        best, chosen = plan, 0
        for count in range(1, len(idle) + 1):
            found = self._try(draw, idle[:count])
            if found and (best is None or _better(found, best)):
                best, chosen = found, count
            if best and not best.cramped:
                break
        if chosen:
            for each in idle[:chosen]:
                each.leave()
            self._note(tenant)
            raise ShortError

    def _wait(self, tenant: Tenant, draw: Draw) -> None:
        """All who hold memory use it. Whoever has had it for the longest gives it up when another
        has waited for too long."""
        # Raises where it could not be even if it were alone.
        draw(self._left(self._held))
        wait = self._note(tenant)
        if wait.asked - wait.since > self._turn_s:
            next(iter(self._held)).leave()

    def _note(self, tenant: Tenant) -> Wait:
        now = time.monotonic()
        wait = self._waiting.get(tenant)
        if wait is None or now - wait.asked > GIVEN_UP:
            wait = self._waiting[tenant] = Wait(now, now)
        wait.asked = now
        return wait


def _better(plan: Plan, than: Plan) -> bool:
    """More that can be said at once."""
    return _tokens(plan.setup) > _tokens(than.setup)


def _tokens(setup: Setup) -> int:
    return setup.shared_cells or setup.slots * setup.context_length
