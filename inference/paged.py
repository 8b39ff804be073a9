"""How a model of safetensors is loaded by vLLM so that it fits: pages of KV cells that all answers
share. It measures nothing and reserves nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.engines.base import LoadError, Setup
from inference.fit import CONTEXT, LEAST_CONTEXT, LIGHT, Plan, TooLargeError, Wishes, whole
from inference.hardware import vllm_on_processor
from inference.library import shapes
from inference.library.forecast import MOST_SLOTS, VLLM_BASE, cache_bytes

# Answers at once on a graphics card, where nobody says otherwise.
GPU_SLOTS = 64
# Tokens that an answer should have on average, and what pages are rounded up to.
SHARE, PAGE = 1024, 128
# Characters of a config.json; real ones have some thousands.
LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """Bytes: of all safetensors, and of a token's KV cells (0: unknown). `trained`: tokens."""

    bytes: int
    cell: int
    trained: int

    @classmethod
    def of(cls, folder: Path) -> Weights:
        """LoadError where the config.json is none."""
        try:
            text = (folder / "config.json").read_bytes()[:LONGEST]
            config = json.loads(text)
        except (ValueError, RecursionError):
            config = None
        if not isinstance(config, dict):
            raise LoadError(f"The config.json in {folder} cannot be read.")
        known = shapes.of_config(config)
        size = sum(each.stat().st_size for each in folder.glob("*.safetensors"))
        return cls(size, cache_bytes(known, 1), known.context_length)


def plan(weights: Weights, free: int, wishes: Wishes, settings: Mapping[str, Any]) -> Plan:
    """As many pages as fit beside the weights; TooLargeError where one short conversation does
    not."""
    parts = 1
    for name in ("tensor_parallel_size", "pipeline_parallel_size"):
        parts *= whole(settings.get(name)) or 1
    if not vllm_on_processor():
        return _on_cards(free, wishes, settings)
    fixed = VLLM_BASE * parts + weights.bytes
    wanted = min(weights.trained or CONTEXT, wishes.context or CONTEXT)
    least = wanted if wishes.context else min(wanted, LEAST_CONTEXT)
    smallest = _pages(least) * weights.cell
    room = whole(settings.get("kv_cache_bytes")) or max(
        smallest, min((free - fixed) // 2, max(LIGHT, 2 * weights.bytes))
    )
    if free < fixed + max(room, smallest):
        raise TooLargeError(fixed + max(room, smallest), max(0, free))
    context = wanted
    while _pages(context) * weights.cell > room and context // 2 >= least:
        context //= 2
    cells = room // weights.cell if weights.cell else MOST_SLOTS * context
    slots = wishes.slots or min(MOST_SLOTS, max(1, cells // SHARE))
    setup = Setup(
        slots=slots,
        context_length=context,
        shared_cells=0 if cells >= slots * context else cells,
        kv_bytes=room // parts,
    )
    return Plan(setup, fixed + room, cramped=context < wanted)


def _on_cards(free: int, wishes: Wishes, settings: Mapping[str, Any]) -> Plan:
    """vLLM itself divides the cards' memory; of the machine's it takes that of its processes."""
    if free < VLLM_BASE:
        raise TooLargeError(VLLM_BASE, max(0, free))
    slots = wishes.slots or GPU_SLOTS
    room = whole(settings.get("kv_cache_bytes"))
    return Plan(Setup(slots=slots, context_length=wishes.context, kv_bytes=room), VLLM_BASE)


def _pages(tokens: int) -> int:
    """With the page that is begun, and one that vLLM keeps empty."""
    return (-(-tokens // PAGE) + 2) * PAGE
