"""Engines as somebody writes them for himself, for the tests of what is done for them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from inference.contract import Message, ModelSpec, Sampling
from inference.engines.simple import SimpleEngine


class Counting(SimpleEngine):
    """Counts to thirty. `delay_ms` a number; `crash`: a file without which it crashes at the fifth
    number and makes it; `hang`: it says nothing at all."""

    slots = 2

    def open(self, spec: ModelSpec, report: Callable[[float], None]) -> None:
        self.settings: dict[str, Any] = spec.settings
        self.patience = spec.settings.get("patience", self.patience)
        # What was asked, what it was told to keep to, and who has left.
        self.asked: list[tuple[list[str], Sampling]] = []
        self.left = threading.Event()

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        self.asked.append(([each.content for each in messages], sampling))
        said = messages[-1].content if messages[-1].role == "assistant" else ""
        try:
            for number in range(len(said.split()) + 1, 31):
                self._misbehave(number)
                time.sleep(self.settings.get("delay_ms", 0) / 1000)
                yield f"{number}" if number == 1 else f" {number}"
        finally:
            self.left.set()

    def count(self, messages: Sequence[Message]) -> int:
        return sum(len(each.content.split()) for each in messages)

    def _misbehave(self, number: int) -> None:
        if self.settings.get("raise") == number:
            raise ValueError("It cannot count any further.")
        if self.settings.get("hang"):
            time.sleep(60)
        mark = Path(self.settings.get("crash", "/"))
        if number == 5 and not mark.exists():
            mark.touch()
            # What was said is on its way by then.
            time.sleep(0.3)
            os._exit(7)


class Absent:
    """Cannot even be made."""

    def __init__(self) -> None:
        raise OSError("Its device is not there.")
