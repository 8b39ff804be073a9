"""The parameters that an admin sets for a model: which there are, and in which ranges. It stores
nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from chatsite.catalogue.errors import BadDefaultError

# As in the side panel of the chat. A fixed seed or a form of the answer is no matter of a model.
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "min_p": (0, 1),
    "typical_p": (0.01, 1),
    "repetition_penalty": (0.1, 2),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
WHOLE: dict[str, tuple[int, int]] = {
    "top_k": (0, 1000),
    "max_tokens": (1, 1_000_000),
    "min_tokens": (0, 100_000),
}
MOST_STOPS, LONGEST_STOP = 16, 200
# What an engine is told at the load; 0 tokens would be none.
LIMITS = {"context_length": (256, 1 << 24), "slots": (1, 1024)}


def check(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are set; BadDefaultError where one cannot be."""
    return {name: _one(name, value) for name, value in given.items() if value not in (None, "", [])}


def check_settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """What an admin may say of the load. Other settings of an engine stay as they are."""
    out = {}
    for name, value in given.items():
        if name in LIMITS and value is not None:
            out[name] = _whole(name, value, LIMITS[name])
    return out


def only_good(given: Any) -> dict[str, Any]:
    """What is usable of defaults that came from elsewhere, with a bundle."""
    out: dict[str, Any] = {}
    for name, value in given.items() if isinstance(given, Mapping) else ():
        try:
            out |= check({name: value})
        except BadDefaultError:
            continue
    return out


def _one(name: str, value: Any) -> Any:
    if name in RANGES:
        low, high = RANGES[name]
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not low <= value <= high:
            raise BadDefaultError(name)
        return float(value)
    if name in WHOLE:
        return _whole(name, value, WHOLE[name])
    listed = name == "stop" and isinstance(value, list | tuple) and len(value) <= MOST_STOPS
    if not listed or not all(isinstance(v, str) and 0 < len(v) <= LONGEST_STOP for v in value):
        raise BadDefaultError(name)
    return list(value)


def _whole(name: str, value: Any, span: tuple[int, int]) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not span[0] <= value <= span[1]:
        raise BadDefaultError(name)
    return value
