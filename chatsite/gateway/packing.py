"""Token ids as a row keeps them: packed little-endian int32, -1 where nobody here knows the id."""

from __future__ import annotations

from array import array
from collections.abc import Sequence


def pack(tokens: Sequence[int]) -> bytes:
    return array("i", tokens).tobytes()


def unpack(data: bytes) -> list[int]:
    return array("i", data).tolist()


def known(tokens: Sequence[int]) -> tuple[int, ...]:
    """All of them, or none where they were written elsewhere."""
    return () if -1 in tokens else tuple(tokens)
