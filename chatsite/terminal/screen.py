"""What is written on the terminal: answers on the one stream, all else on the other. It knows no
model and no log."""

from __future__ import annotations

import os
from io import TextIOWrapper
from typing import TextIO

from django.utils.translation import gettext, ngettext

DIM, PLAIN = "\033[2m", "\033[0m"
ERASE = "\r\033[K"
# A model's words may not move the cursor or set the window's title: line ends and tabs stay.
CONTROLS = {code: None for code in [*range(32), *range(127, 160)] if chr(code) not in "\n\t"}


class Screen:
    """Into a pipe goes the bare answer; where somebody looks there are colours and a line that says
    how far it is."""

    def __init__(self, out: TextIO, err: TextIO) -> None:
        for stream in (out, err):
            # A character that the terminal's language does not have ends no answer.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")
        self._out, self._err = out, err
        self._watched = out.isatty()
        self._live = err.isatty() and os.environ.get("TERM") != "dumb"
        self._coloured = self._watched and self._live and not os.environ.get("NO_COLOR")
        # Whether a line about the state stands there, and where in the answer the cursor is.
        self._state = False
        self._thinking = self._in_line = False

    def answer(self, text: str, reasoning: str) -> None:
        """More of an answer. What the model thinks is for the eye alone."""
        if reasoning and self._watched:
            self._write(reasoning, thinking=True)
        if text:
            self._write(text, thinking=False)
        self._out.flush()

    def end(self) -> None:
        """The answer is over: what follows begins a line of its own."""
        self._settle()
        self._colour(thinking=False)
        if self._in_line:
            self._out.write("\n")
        self._in_line = False
        self._out.flush()

    def say(self, text: str = "") -> None:
        """A word of the program itself."""
        self._settle()
        print(text, file=self._err, flush=True)

    def phase(self, phase: str, fraction: float) -> None:
        if phase == "loading":
            percent = round(fraction * 100)
            self._show(gettext("Loading the model: %(percent)d %%") % {"percent": percent})
        elif phase == "reading":
            self._show(gettext("Reading"))
        elif phase == "waiting":
            self._show(gettext("Waiting"))

    def place(self, ahead: int, seconds: int | None) -> None:
        """How many go before it, and for how long about."""
        parts = [gettext("Waiting")]
        if ahead:
            before = ngettext("%(count)d before you", "%(count)d before you", ahead)
            parts.append(before % {"count": ahead})
        if seconds:
            parts.append(gettext("about %(seconds)d s") % {"seconds": seconds})
        self._show(", ".join(parts))

    def stuck(self, why: str) -> None:
        """Nobody takes it."""
        self._show(why)

    def _show(self, state: str) -> None:
        # In the middle of a line it would take the answer's words away.
        if self._live and not self._in_line:
            self._state = True
            self._err.write(f"{ERASE}{DIM}{state}{PLAIN}")
            self._err.flush()

    def _settle(self) -> None:
        if self._state:
            self._err.write(ERASE)
            self._err.flush()
        self._state = False

    def _write(self, text: str, *, thinking: bool) -> None:
        self._settle()
        self._colour(thinking=thinking)
        self._out.write(text.translate(CONTROLS) if self._watched else text)
        self._in_line = not text.endswith("\n")

    def _colour(self, *, thinking: bool) -> None:
        if thinking == self._thinking:
            return
        if self._coloured:
            self._out.write(DIM if thinking else PLAIN)
        if not thinking:
            self._out.write("\n\n" if self._in_line else "\n")
            self._in_line = False
        self._thinking = thinking
