"""What somebody types: lines, texts of several lines, and the wish to leave. It understands none of
it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

QUOTES = '"""'
FIRST, MORE = ">>> ", "... "
# Lines that are remembered from one time to the next.
REMEMBERED = 1000


def line_of(prompt: str) -> str:
    """One line. Python would write the prompt into a pipe."""
    if sys.stdout.isatty():
        return input(prompt)
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return input()


class Keyboard:
    def __init__(self, hint: Callable[[], None], line: Callable[[str], str] = line_of) -> None:
        """`hint` tells how to leave, to somebody who pressed Ctrl-C once."""
        self._hint, self._line = hint, line
        self._interrupted = False

    def read(self) -> str | None:
        """What is said next; None where it is over: Ctrl-D, or Ctrl-C twice."""
        while True:
            try:
                text = self._text()
            except EOFError:
                return None
            except KeyboardInterrupt:
                if self._interrupted:
                    return None
                self._interrupted = True
                self._hint()
                continue
            self._interrupted = False
            if text.strip():
                return text

    def _text(self) -> str:
        first = self._line(FIRST)
        if not first.startswith(QUOTES):
            return first
        lines = [first.removeprefix(QUOTES)]
        while not lines[-1].rstrip().endswith(QUOTES):
            lines.append(self._line(MORE))
        lines[-1] = lines[-1].rstrip().removesuffix(QUOTES)
        return "\n".join(lines).strip("\n")


class Memory:
    """The lines of earlier times, in a file that is its owner's alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._readline: Any = None

    def __enter__(self) -> None:
        with contextlib.suppress(ImportError, OSError):
            self._readline = import_module("readline")
            self._readline.set_history_length(REMEMBERED)
            self._path.touch(mode=0o600)
            self._readline.read_history_file(self._path)

    def __exit__(self, *_: object) -> None:
        if self._readline:
            with contextlib.suppress(OSError):
                self._readline.write_history_file(self._path)
