"""Turns the logs into rows, round by round, gives back what lost its worker, and moves deliveries.

Several stewards may run: every save only moves a row forward and every close counts once, so what
two do at the same time is done once. Nobody waits for a steward to read a token.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence, Set
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import redis
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connections, transaction

from chatsite.api import stored
from chatsite.catalogue import deliveries
from chatsite.catalogue.keeping import Keeper
from chatsite.chat import actions as chat
from chatsite.gateway import actions as gateway
from chatsite.gateway import journal
from chatsite.gateway.bell import ring
from chatsite.gateway.growth import Growth
from chatsite.gateway.models import Generation
from chatsite.metering import actions as metering
from chatsite.metering import repeats

log = logging.getLogger(__name__)
# Seconds between rounds: what a power cut may cost the rows, and how long a title waits at most.
PAUSE = 0.4
# Seconds between two looks for what was deleted long ago.
PURGE_PAUSE = 3600.0
# Seconds between two looks at what comes from the hub.
DELIVERY_PAUSE = 1.0
# Seconds in which workers may renew their leases after Redis was away, before any counts as lapsed.
GRACE = 3.0


class Steward:
    """`round` does everything once; a failure leaves it to the next round, with nothing
    forgotten."""

    def __init__(self) -> None:
        self._growing: dict[UUID, Growth] = {}
        self._away = time.monotonic()
        self._purged = time.monotonic()
        self._keeper = Keeper()
        self._delivered = 0.0

    def run(self) -> None:
        # Its time is that of the last round: what a health check looks at.
        mark = Path(settings.DATA_DIR) / "run" / "steward"
        mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            self.round()
            with suppress(OSError):
                mark.touch()
            time.sleep(PAUSE)

    def round(self) -> None:
        try:
            # First: that needs no database.
            self._give_back()
            self._meet()
            self._read()
        except redis.RedisError:
            log.warning("Redis does not answer; the rows wait.")
            self._away = time.monotonic()
        except (DatabaseError, InterfaceError):
            log.exception("The database does not answer; trying again.")
            hang_up()
        try:
            self._save()
            self._purge()
            self._deliver()
        except (DatabaseError, InterfaceError):
            # What grew stays in memory and in the log until the database takes it.
            log.exception("The database does not take the answers; trying again.")
            hang_up()

    def _deliver(self) -> None:
        """A fault there must not keep an answer from its row."""
        if time.monotonic() - self._delivered < DELIVERY_PAUSE:
            return
        self._delivered = time.monotonic()
        try:
            deliveries.step()
            self._keeper.look()
        except DatabaseError:
            raise
        except Exception:
            log.exception("The deliveries of models stand still; trying again.")

    def _purge(self) -> None:
        if time.monotonic() - self._purged > PURGE_PAUSE:
            self._purged = time.monotonic()
            chat.purge()
            repeats.purge()
            stored.purge()
            deliveries.purge()

    def _meet(self) -> None:
        """Know every live row; put back the logs that Redis lost; pass on stops that it missed."""
        live = Generation.objects.filter(status=Generation.Status.LIVE)
        known = dict(live.values_list("pk", "stop_asked"))
        self._forget(self._growing.keys() - known.keys())
        for row in live.filter(pk__in=known.keys() - self._growing.keys()):
            if self._restore(row):
                self._growing[row.pk] = Growth(row)
        for pk in (pk for pk, asked in known.items() if asked):
            gateway.stop(pk.hex)

    def _forget(self, gone: Set[UUID]) -> None:
        """Closed by another steward, or removed with its owner: then nobody waits for it."""
        kept = set(Generation.objects.filter(pk__in=gone).values_list("pk", flat=True))
        for pk in gone:
            growth = self._growing.pop(pk)
            if pk not in kept:
                gateway.stop(pk.hex)
                gateway.let_go(growth.row.pk.hex)

    def _restore(self, row: Generation) -> bool:
        """False where Redis does not take it; the others are not to wait for that."""
        try:
            if gateway.restore(row):
                text = "The log of %s is put back from its row, %s tokens."
                log.warning(text, row.pk, row.position)
                ring(row.model)
        except redis.ResponseError:
            log.exception("Redis refuses the log of %s; trying again.", row.pk)
            return False
        return True

    def _read(self) -> None:
        """One round trip for all: what is new in each log, and who writes it."""
        growing = list(self._growing.values())
        places = [(growth.row.pk.hex, growth.cursor) for growth in growing]
        for growth, news in zip(growing, journal.read(places), strict=True):
            growth.take(news)
            if growth.end:
                continue
            if news.position is None or news.position < growth.row.position:
                self._restore(growth.row)
                growth.cursor = f"{growth.row.position}-0".encode()

    def _save(self) -> None:
        """All growth in one transaction; what ended is closed with its message, once."""
        changed = [growth for growth in self._growing.values() if growth.changed or growth.end]
        try:
            self._write(changed)
        except OperationalError:
            raise
        except DatabaseError:
            # One that the database refuses must not hold back what the others said.
            for growth in changed:
                self._write_alone(growth)

    def _write(self, changed: Sequence[Growth]) -> None:
        with transaction.atomic():
            ended = []
            for growth in sorted(changed, key=lambda each: each.row.pk):
                if growth.end is None:
                    gateway.save(growth.row)
                elif metering.close_row(growth.row, growth.end):
                    ended.append(growth.row)
            metering.count(ended)
            for row in ended:
                chat.close(row)
        for growth in changed:
            growth.changed = False
            if growth.end:
                del self._growing[growth.row.pk]
                gateway.let_go(growth.row.pk.hex)

    def _write_alone(self, growth: Growth) -> None:
        try:
            self._write([growth])
        except OperationalError:
            raise
        except DatabaseError:
            log.exception("The database refuses generation %s; trying again.", growth.row.pk)

    def _give_back(self) -> None:
        if time.monotonic() - self._away < GRACE:
            return
        for model in journal.give_back():
            log.warning("A worker of %s is gone; its answers go on elsewhere.", model)


def hang_up() -> None:
    """Django keeps a connection whose server was restarted, and each use of it fails."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
