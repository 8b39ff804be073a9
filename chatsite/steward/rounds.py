"""Turns the logs into rows, round by round, and gives back what lost its worker.

Several stewards may run: every save only moves a row forward and every close counts once, so what two
do at the same time is done once. Nobody waits for a steward to read a token.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from uuid import UUID

import redis
from django.db import DatabaseError, transaction

from chatsite.chat import actions as chat
from chatsite.gateway import actions as gateway
from chatsite.gateway.bell import ring
from chatsite.gateway.broker import connect
from chatsite.gateway.models import Generation
from inference import lease, stream

log = logging.getLogger(__name__)
# Seconds between rounds: what a power cut may cost the rows, and how long a title waits at most.
PAUSE = 0.4
# Seconds in which workers may renew their leases after Redis was away, before any counts as lapsed.
GRACE = 3.0


@dataclass(slots=True)
class Growth:
    """A live generation as it grows in memory between two saves."""

    row: Generation
    # Last entry that was read.
    cursor: bytes = b"0-0"
    changed: bool = False
    end: stream.End | None = None


class Steward:
    """`round` does everything once; a failure leaves it to the next round, with nothing forgotten."""

    def __init__(self) -> None:
        self._growing: dict[UUID, Growth] = {}
        self._away = time.monotonic()

    def run(self) -> None:
        while True:
            self.round()
            time.sleep(PAUSE)

    def round(self) -> None:
        try:
            self._meet()
            self._read()
            self._give_back()
        except redis.RedisError:
            log.warning("Redis does not answer; the rows wait.")
            self._away = time.monotonic()
        try:
            self._save()
        except DatabaseError:
            # What grew stays in memory and in the log until the database takes it.
            log.exception("The database does not take the answers; trying again.")

    def _meet(self) -> None:
        """Know every live row; put back the logs that Redis lost; pass on stops that it missed."""
        live = Generation.objects.filter(status=Generation.Status.LIVE)
        known = dict(live.values_list("pk", "stop_asked"))
        for gone in self._growing.keys() - known.keys():
            del self._growing[gone]
        for row in live.filter(pk__in=known.keys() - self._growing.keys()):
            self._restore(row)
            self._growing[row.pk] = Growth(row)
        for pk in (pk for pk, asked in known.items() if asked):
            gateway.stop(pk.hex)

    def _restore(self, row: Generation) -> None:
        if gateway.restore(row):
            log.warning("The log of %s is put back from its row, %s tokens.", row.pk, row.position)
            ring(row.model)

    def _read(self) -> None:
        """One round trip for all: what is new in each log, and who writes it."""
        growing = list(self._growing.values())
        pipe = connect().pipeline(transaction=False)
        for growth in growing:
            key = growth.row.pk.hex
            pipe.xrange(stream.LOG + key, min=b"(" + growth.cursor)
            pipe.hmget(stream.RUN + key, "fence", "position")
        answers = pipe.execute()
        for growth, entries, run in zip(growing, answers[::2], answers[1::2], strict=True):
            for entry_id, fields in entries:
                self._grow(growth, entry_id, stream.parse(entry_id, fields))
            growth.row.fence = int(run[0] or growth.row.fence)
            if run[1] is None or int(run[1]) < growth.row.position:
                self._restore(growth.row)
                growth.cursor = f"{growth.row.position}-0".encode()

    def _grow(self, growth: Growth, entry_id: bytes, entry: stream.Entry) -> None:
        growth.cursor = entry_id
        row = growth.row
        # A log that begins behind the row (it was met again, or put back) repeats what the row has.
        if entry.tokens is not None and entry.position > row.position:
            fresh = entry.tokens[row.position - entry.position :]
            row.tokens = bytes(row.tokens) + gateway.pack(fresh)
            row.text += entry.text
            row.reasoning += entry.reasoning
            row.position = entry.position
            growth.changed = True
        elif entry.end is not None:
            row.text += entry.end.finish.text
            row.reasoning += entry.end.finish.reasoning
            growth.end = entry.end

    def _save(self) -> None:
        """All growth in one transaction; what ended is closed with its message, once."""
        changed = [growth for growth in self._growing.values() if growth.changed or growth.end]
        if not changed:
            return
        with transaction.atomic():
            for growth in changed:
                if growth.end is None:
                    gateway.save(growth.row)
                elif gateway.close(growth.row, growth.end):
                    chat.close(growth.row)
        for growth in changed:
            growth.changed = False
            if growth.end:
                del self._growing[growth.row.pk]
                self._let_go(growth.row)

    def _let_go(self, row: Generation) -> None:
        try:
            stream.expire(connect(), row.pk.hex)
        except redis.RedisError:
            log.warning("The log of %s stays until somebody removes it.", row.pk)

    def _give_back(self) -> None:
        if time.monotonic() - self._away < GRACE:
            return
        for model in lease.lapse(connect()):
            log.warning("A worker of %s is gone; its answers go on elsewhere.", model)
            ring(model)
