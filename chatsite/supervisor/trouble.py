"""The one exception of `up`: something that the person at the terminal can put right."""

from __future__ import annotations


class Trouble(Exception):
    """Its text is shown as it is: what is wrong and what to do."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
