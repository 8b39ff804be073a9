"""Waits until a worker has nothing to do, then has its machine measured, once. It measures nothing
itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference.library import measure

# Seconds without work before it begins: whoever starts a site wants an answer first.
IDLE = 20.0


class Survey(threading.Thread):
    """`busy` says whether an engine is loaded; `figures` is empty until something is known."""

    def __init__(self, data_dir: Path, busy: Callable[[], bool], ending: threading.Event) -> None:
        super().__init__(name="survey", daemon=True)
        self.figures: dict[str, Any] = {}
        self._data_dir = data_dir
        self._busy = busy
        self._ending = ending

    def run(self) -> None:
        self.figures = measure.known(self._data_dir) or {}
        quiet = 0
        while not self.figures and not self._ending.wait(1):
            quiet = 0 if self._busy() else quiet + 1
            if quiet > IDLE:
                self.figures = measure.run(self._data_dir) or {}
                return
