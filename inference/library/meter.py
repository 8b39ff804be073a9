"""How far an errand is: bytes, speed, the file in work. It says so a few times a second and never
goes back without a reason."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from inference.library.nouns import LibraryError

# Seconds between two words, and over how many of them the speed is the mean.
PAUSE, WINDOW = 0.25, 8.0

Tell = Callable[[dict[str, Any]], None]


class Meter:
    """`total` 0: nobody knows it."""

    def __init__(self, tell: Tell, total: int = 0) -> None:
        self._tell = tell
        self.total = total
        self.done = 0
        self.phase = ""
        self.file = ""
        # When a byte came last, and whether none has.
        self.moved = time.monotonic()
        self.still = True
        self._said = 0.0
        self._steps: deque[tuple[float, int]] = deque()

    def enter(self, phase: str, file: str = "") -> None:
        if (phase, file) != (self.phase, self.file):
            self.phase, self.file = phase, file
            self.say()

    def add(self, count: int) -> None:
        """So many bytes more are on the disk."""
        now = time.monotonic()
        self.done += count
        self.moved, self.still = now, False
        self._steps.append((now, count))
        while self._steps[0][0] < now - WINDOW:
            self._steps.popleft()
        if now - self._said > PAUSE:
            self.say()

    def set(self, done: int) -> None:
        """So much is there already, or is there no more."""
        self.done = done
        self._steps.clear()
        self.say()

    def stall(self, trouble: LibraryError) -> None:
        """Nothing moves until this is over."""
        self._steps.clear()
        self.say(trouble.to_dict())

    @property
    def speed(self) -> float:
        """Bytes per second of the last seconds."""
        if len(self._steps) < 2:
            return 0.0
        span = max(time.monotonic() - self._steps[0][0], 0.1)
        return sum(count for _, count in self._steps) / span

    def say(self, error: dict[str, Any] | None = None) -> None:
        self._said = time.monotonic()
        self._tell(
            {
                "phase": self.phase,
                "file": self.file,
                "done": self.done,
                "total": self.total,
                "speed": round(self.speed, 1),
                "error": error,
            }
        )
