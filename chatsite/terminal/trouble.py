"""Why the chat on the command line cannot go on. It has words for its reader, and a kind."""

from __future__ import annotations


class Trouble(Exception):
    """What its reader has to know; `message` is translated."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind)
        self.kind, self.message = kind, message
