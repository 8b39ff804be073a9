"""What `up` says on the terminal: one clear line per event. Details are in the logs."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TextIO

PLAIN = ""
GOOD = "32"
WARN = "33"
BAD = "31"
BOLD = "1"


class Terminal:
    """Lines with the time and the part's name; coloured only where somebody looks."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.colours = self.stream.isatty()

    def say(self, text: str = "", colour: str = PLAIN) -> None:
        # The terminal may be gone (closed window, ended pipe): that is no reason to stop the site.
        with contextlib.suppress(OSError, ValueError):
            print(self.paint(text, colour), file=self.stream, flush=True)

    def part(self, name: str, text: str, colour: str = PLAIN) -> None:
        now = time.strftime("%H:%M:%S")
        self.say(f"{now}  {name:<8} {self.paint(text, colour)}")

    def paint(self, text: str, colour: str) -> str:
        return f"\033[{colour}m{text}\033[0m" if colour and self.colours else text
