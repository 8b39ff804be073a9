"""Waits until a worker has nothing to do, then has its machine measured, once. It measures nothing
itself."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.hardware import Idleness
from inference.library import measure

# Seconds in which nothing works here: whoever starts a site wants an answer first, and a busy
# processor gives figures that are too low. Longer where an engine is loaded, which somebody uses.
QUIET, SILENT = 20, 60
# Where it is not so quiet for long, poor figures are better than none; they are taken again when
# it is. First where an engine's speed would not be halved by it, then wherever: it is done once.
LATE, LATEST = 60, 120
# Of the processors, what must have nothing to do; and what of them when it is late. Where not even
# so much is free, another worker's engine may be at work.
SHARE, LEAST = 0.75, 0.25


class Survey(threading.Thread):
    """`busy` says whether an engine is loaded; `figures` is empty until something is known, and
    `measurable` is False in it where nothing can be."""

    def __init__(self, data_dir: Path, busy: Callable[[], bool], ending: threading.Event) -> None:
        super().__init__(name="survey", daemon=True)
        self.figures: dict[str, Any] = {}
        self._data_dir = data_dir
        self._busy = busy
        self._ending = ending

    def run(self) -> None:
        self.figures = measure.known(self._data_dir) or {}
        idleness, processors = Idleness(), os.cpu_count() or 1
        calm = waited = 0
        while not self.figures.get("quiet") and not self._ending.wait(1):
            free = idleness.look() / processors
            busy = self._busy()
            calm = calm + 1 if free >= SHARE else 0
            waited += 1
            quiet = calm >= (SILENT if busy else QUIET)
            late = waited >= LATE and free >= LEAST and not busy
            if quiet or (not self.figures and (late or waited >= LATEST)):
                found = measure.run(self._data_dir, quiet=quiet)
                if found is None:
                    self.figures = self.figures or {"measurable": False}
                    return
                self.figures = found
