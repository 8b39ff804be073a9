"""What a model's tokens spell, for those who ask about them. It computes nothing and knows no
engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Letters(Protocol):
    """The part of a vocabulary that is needed here."""

    size: int

    @property
    def controls(self) -> dict[int, str]:
        """The tokens that are marks, such as <|im_end|>, and their texts."""

    def piece(self, token: int) -> bytes:
        """The bytes of a token that is no mark."""


class UnknownTokenError(Exception):
    """The model has no token with such an id."""

    kind = "bad_tokens"


def spell(letters: Letters, tokens: Sequence[int]) -> str:
    """The text of these tokens, marks included."""
    return b"".join(_bytes(letters, token) for token in checked(letters, tokens)).decode(
        errors="replace"
    )


def told(
    letters: Letters, tokens: Sequence[int], context_length: int, *, pieces: bool
) -> dict[str, Any]:
    """What a question for the tokens of a text is answered with."""
    known: dict[str, Any] = {"tokens": list(tokens), "context_length": context_length}
    if pieces:
        # Half a character is none: such a token alone spells the sign for that.
        known["pieces"] = [_bytes(letters, token).decode(errors="replace") for token in tokens]
    return known


def checked(letters: Letters, tokens: Sequence[int]) -> Sequence[int]:
    if all(0 <= token < letters.size for token in tokens):
        return tokens
    raise UnknownTokenError


def _bytes(letters: Letters, token: int) -> bytes:
    mark = letters.controls.get(token)
    return letters.piece(token) if mark is None else mark.encode()
