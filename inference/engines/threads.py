"""How many threads an engine's step gets, found by measuring while the machine's load changes.

Threads that wait for each other spin: that is the fastest on a free machine and several times too
slow where another program takes a core. So the number is tried again from time to time: fewer when
steps become slower, more when processors are idle, since a step with one too many may take a
second.
"""

from __future__ import annotations

import time
from statistics import fmean, median

from inference.hardware import Idleness

# Which way a trial goes.
MORE, FEWER = 1, -1
# Seconds until a trial with more threads, and with fewer where nothing became slower. Each
# doubles while it brings nothing.
SOON, LATE = 0.5, 8.0
# A trial takes at least this many steps, the first of which is not counted, and so many seconds:
# quick steps vary the most. It is compared with as many steps before it, of which so many are kept.
TRIAL, PROOF, KEPT = 5, 0.2, 32
# Several steps that are slower than usual by this factor call for fewer threads, one by that.
SLOWER, STALLED = 1.4, 5.0
# A trial ends early at a step that is so much slower; a gain that is smaller than that is chance.
HOPELESS, BETTER = 1.4, 0.92
# Idle processors that are needed for each further thread.
IDLE = 0.5


class Tuner:
    """Says the number of threads for each step, and hears how long it took."""

    def __init__(self, counts: list[int], start: int) -> None:
        self._counts = counts
        self.best = start if start in counts else counts[0]
        self.threads = self.best
        self._recent: dict[int, list[float]] = {}
        self._usual: dict[int, float] = {}
        # A trial: with more or fewer threads, on which kind of step, and the seconds of its steps,
        # as all times here by token.
        self._way = self._kind = 0
        self._trial: list[float] = []
        self._took = 0.0
        self._idle = Idleness()
        self._reset()

    def choose(self, rows: int) -> int:
        """The number for a step of so many tokens: a trial is made on steps of one kind alone."""
        return self.threads if rows.bit_length() == self._kind else self.best

    def saw(self, rows: int, seconds: float) -> None:
        """A step of `rows` tokens is done."""
        kind, cost = rows.bit_length(), seconds / rows
        if self.threads == self.best:
            self._watch(kind, cost)
        elif kind == self._kind:
            self._trial.append(cost)
            self._took += seconds
            self._judge()
        elif time.monotonic() - self._tried > SOON:
            # Steps of its kind do not come any more: it is made some other time.
            self._put_off(SOON)

    def _watch(self, kind: int, cost: float) -> None:
        recent = self._recent.setdefault(kind, [])
        recent.append(cost)
        del recent[:-KEPT]
        now = median(recent[-TRIAL:])
        usual = self._usual.get(kind, now)
        self._usual[kind] = usual + 0.05 * (now - usual)
        slower = len(recent) >= TRIAL and now > SLOWER * usual
        if slower or (len(recent) > 1 and cost > STALLED * usual):
            self._due[FEWER] = min(self._due[FEWER], self._tried + SOON)
        clock = time.monotonic()
        way = next((way for way in (FEWER, MORE) if clock >= self._due[way]), 0)
        if way and len(recent) > 1:
            self._try(way, kind)

    def _try(self, way: int, kind: int) -> None:
        at = self._counts.index(self.best) - way
        self._way, self._kind, self._trial, self._took = way, kind, [], 0.0
        other = self._counts[at] if 0 <= at < len(self._counts) else self.best
        if other == self.best or (way == MORE and self._idle.look() < IDLE * (other - self.best)):
            self._put_off(SOON)
            return
        self._tried = time.monotonic()
        self.threads = other

    def _judge(self) -> None:
        measured = self._trial[1:]
        # The mean: a step that stalled is what others wait for.
        before = fmean(self._recent[self._kind][-max(TRIAL, len(measured)) :])
        if max(measured, default=0) > HOPELESS * before or self._trial[0] > STALLED * before:
            self._fail()
        elif len(self._trial) < TRIAL or (self._took < PROOF and len(measured) < KEPT):
            return
        elif fmean(measured) < BETTER * before:
            self.best = self.threads
            self._recent = {self._kind: measured}
            self._usual.clear()
            self._reset()
        else:
            self._fail()

    def _fail(self) -> None:
        longest = LATE if self._way == MORE else 4 * LATE
        self._wait[self._way] = min(2 * self._wait[self._way], longest)
        self._put_off(self._wait[self._way])

    def _put_off(self, seconds: float) -> None:
        self.threads = self.best
        self._due[self._way] = time.monotonic() + seconds

    def _reset(self) -> None:
        self._tried = now = time.monotonic()
        self._wait = {MORE: SOON, FEWER: LATE}
        self._due = {way: now + wait for way, wait in self._wait.items()}
