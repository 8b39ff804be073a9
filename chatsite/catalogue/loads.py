"""What an admin may say of how vLLM loads a model: which settings there are, in which ranges. What
is not set is for the engine to choose. It stores nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from chatsite.catalogue.errors import BadDefaultError

SHARE = (0.05, 1.0)
# Of processors or machines; more are no office.
SIZES = {
    "tensor_parallel_size": (1, 64),
    "pipeline_parallel_size": (1, 64),
    "data_parallel_size": (1, 64),
}
DTYPES = ("bfloat16", "float16", "float32")
# Computed at the load from whole weights; files that are quantized already say so themselves.
QUANTIZATIONS = ("fp8", "int8_per_channel_weight_only", "mxfp8")
TYPED = ("gpu_memory_utilization", *SIZES, "dtype", "quantization")
NAMES = (*TYPED, "enforce_eager")


def check(given: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are set; BadDefaultError where one cannot be."""
    return {name: _one(name, given[name]) for name in NAMES if given.get(name) not in (None, "")}


def _one(name: str, value: Any) -> Any:
    if name == "gpu_memory_utilization":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if is_number and math.isfinite(value) and SHARE[0] <= value <= SHARE[1]:
            return float(value)
    elif name in SIZES:
        low, high = SIZES[name]
        if type(value) is int and low <= value <= high:
            return value
    elif name == "enforce_eager":
        if isinstance(value, bool):
            return value
    elif value in (DTYPES if name == "dtype" else QUANTIZATIONS):
        return value
    raise BadDefaultError(name)
