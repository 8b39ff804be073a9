"""Text out of token bytes, and reasoning out of text, while both still grow.

Everything here is a function of the tokens so far: feeding the logged tokens again restores the
state.
"""

from __future__ import annotations

import codecs

OPEN, CLOSE = "<think>", "</think>"


class Splitter:
    """Separates a leading `<think>…</think>` from the answer; the marks themselves are never shown.

    Only an answer that begins with the mark reasons; later marks are text. `inside` is for
    templates that open the reasoning themselves at the end of the prompt.
    """

    def __init__(self, *, inside: bool = False) -> None:
        self._held = ""
        self._state = "opened" if inside else "start"

    def feed(self, text: str) -> tuple[str, str]:
        """More raw text in; what is certain of (answer, reasoning) out."""
        self._held += text
        if self._state == "start":
            self._open()
        if self._state == "opened":
            # The line break after the mark may come with a later token.
            self._held = self._held.lstrip("\n")
            self._state = "reasoning" if self._held else "opened"
        if self._state == "reasoning":
            return self._close()
        if self._state == "after":
            return self._skip_space(), ""
        if self._state == "answer":
            held, self._held = self._held, ""
            return held, ""
        return "", ""

    def flush(self) -> tuple[str, str]:
        """What was held back, at the end."""
        held, self._held = self._held, ""
        return ("", held) if self._state == "reasoning" else (held, "")

    def _open(self) -> None:
        begin = self._held.lstrip()
        if begin.startswith(OPEN):
            self._held, self._state = begin[len(OPEN) :], "opened"
        elif not OPEN.startswith(begin):
            self._state = "answer"

    def _close(self) -> tuple[str, str]:
        reasoning, mark, rest = self._held.partition(CLOSE)
        if mark:
            self._held, self._state = rest, "after"
            return self._skip_space(), reasoning
        keep = _overlap(self._held, CLOSE)
        cut = len(self._held) - keep
        reasoning, self._held = self._held[:cut], self._held[cut:]
        return "", reasoning

    def _skip_space(self) -> str:
        text, self._held = self._held.lstrip(), ""
        if text:
            self._state = "answer"
        return text


class Writer:
    """Token bytes in, readable text out; an incomplete character waits for its other bytes."""

    def __init__(self, *, inside: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._splitter = Splitter(inside=inside)

    def feed(self, piece: bytes) -> tuple[str, str]:
        return self._splitter.feed(self._decoder.decode(piece))

    def flush(self) -> tuple[str, str]:
        """What was held back, at the end; half a character (a stop came within it) is nothing."""
        return self._splitter.flush()


def _overlap(text: str, mark: str) -> int:
    """The length of the longest end of `text` that begins `mark`."""
    for size in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:size]):
            return size
    return 0
