"""Whether it is this worker's turn to load a model for what waits: asks the board, keeps how long
it has been asked, and remembers what it could not do."""

from __future__ import annotations

import time

import redis

from inference import board, duty, placement
from inference.placement import Ask

# Seconds after which what could not be loaded here is tried again: files come, memory gets free.
AGAIN = 60.0


class Turns:
    """Of one model in one worker."""

    def __init__(self, model: str, worker: str) -> None:
        self._model = model
        self._worker = worker
        # By queue: what has waited for the longest, and since when it is seen here.
        self._waits: dict[str, tuple[str, float]] = {}
        self._lacked = 0.0
        self._ask: Ask | None = None

    @property
    def lacks(self) -> bool:
        return bool(self._lacked) and time.monotonic() - self._lacked < AGAIN

    def is_mine(self, client: redis.Redis, queue: str) -> bool:
        """Whether this worker takes the next of the queue, though it has to load for it."""
        ask = self._ask = placement.look(client, self._model, queue)
        if ask is None:
            return False
        first, since = self._waits.get(queue, ("", 0.0))
        if ask.first != first:
            since = time.monotonic()
            self._waits[queue] = ask.first, since
        wait = self._delay(client, ask)
        return wait is not None and time.monotonic() - since >= wait

    def give_up(self, client: redis.Redis) -> bool:
        """It could not be loaded: from now on it is left to others, where there is one that lives
        and has not given up either. False: somebody has to say that it cannot be."""
        others = [each for each in board.workers(client) if each.name != self._worker]
        found = self._ask is not None and any(
            placement.suits(each, self._ask) and each.duty == duty.ON for each in others
        )
        self._lacked = time.monotonic() if found else 0.0
        return found

    def _delay(self, client: redis.Redis, ask: Ask) -> float | None:
        roster = board.roster(client)
        workers = [seen.state for seen in roster if seen.lives]
        away = [seen.state for seen in roster if not seen.lives]
        if self.lacks:
            workers = [each for each in workers if each.name != self._worker]
        elif self._worker not in {each.name for each in workers}:
            # It has not reported yet: what it has shows when it tries.
            return 0.0 if not workers else None
        return placement.delay(self._worker, ask, workers, away, board.engines(client))
