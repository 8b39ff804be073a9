"""What a safetensors file says of itself, read without native code: each number is doubted (R3). It
loads nothing."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

# Headers of the largest models have a few megabytes.
LONGEST = 32 << 20
MOST_TENSORS, MOST_DIMENSIONS, LONGEST_NAME = 200_000, 8, 512
# Bits of a number of each type.
TYPES = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


class SafetensorsError(Exception):
    """The file is not what it says."""


def check(path: Path) -> int:
    """The number of parameters. SafetensorsError where the header lies."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        if len(head) < 8:
            raise SafetensorsError("The file ends within its header.")
        (length,) = struct.unpack("<Q", head)
        if not 2 <= length <= min(LONGEST, size - 8):
            raise SafetensorsError(f"A header of {length} bytes in a file of {size}.")
        text = file.read(length)
    return _tensors(_parse(text), size - 8 - length)


def _parse(text: bytes) -> dict[str, Any]:
    if not text.startswith(b"{"):
        raise SafetensorsError("The header does not begin as one.")
    try:
        header = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise SafetensorsError(f"The header cannot be read: {str(error)[:100]}") from None
    if len(header) > MOST_TENSORS:
        raise SafetensorsError(f"{len(header)} tensors are too many.")
    told = header.pop("__metadata__", {})
    if not isinstance(told, dict) or not all(isinstance(each, str) for each in told.values()):
        raise SafetensorsError("The metadata are no texts.")
    return dict(header)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise SafetensorsError("A name stands there twice.")
    return found


def _refuse(name: str) -> None:
    raise SafetensorsError(f"{name} is no number.")


def _tensors(header: dict[str, Any], size: int) -> int:
    """They lie one behind the other and fill the file, as the format demands."""
    spans, parameters = [], 0
    for name, told in header.items():
        if not 0 < len(name) <= LONGEST_NAME or not isinstance(told, dict):
            raise SafetensorsError("An entry is no tensor.")
        if set(told) != {"dtype", "shape", "data_offsets"}:
            raise SafetensorsError(f"{name} says too little or too much.")
        numbers, bits = _count(name, told["shape"]), _bits(name, told["dtype"])
        begin, end = _span(name, told["data_offsets"])
        if (end - begin) * 8 != numbers * bits:
            raise SafetensorsError(f"{name} is not as long as its shape.")
        spans.append((begin, end))
        parameters += numbers
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise SafetensorsError("Tensors lie over one another, or something between them.")
        at = end
    if at != size or not spans:
        raise SafetensorsError("The tensors do not fill the file; it may be incomplete.")
    return parameters


def _bits(name: str, kind: Any) -> int:
    if not isinstance(kind, str) or kind not in TYPES:
        raise SafetensorsError(f"{name} is of no known type.")
    return TYPES[kind]


def _count(name: str, shape: Any) -> int:
    if not isinstance(shape, list) or len(shape) > MOST_DIMENSIONS or not all(map(_whole, shape)):
        raise SafetensorsError(f"{name} has no shape.")
    if math.prod(shape) >= 1 << 62:
        raise SafetensorsError(f"No tensor is as large as {name}.")
    return math.prod(shape)


def _span(name: str, told: Any) -> tuple[int, int]:
    if not isinstance(told, list) or len(told) != 2 or not all(map(_whole, told)):
        raise SafetensorsError(f"{name} lies nowhere.")
    begin, end = told
    if begin > end:
        raise SafetensorsError(f"{name} ends before it begins.")
    return begin, end


def _whole(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 62
