"""What is known of vLLM's work: figures by the names in docs/architecture.md, and whether it still
moves."""

from __future__ import annotations

import threading
import time
from typing import Any

COUNTERS = (
    *("prompt_tokens", "cached_tokens", "generated_tokens", "steps", "hits", "misses"),
    *("decode_seconds", "set_aside"),
)


class Meter:
    """The loop's thread writes what vLLM says, the engine's what it counts itself; any reads."""

    def __init__(self) -> None:
        self.cells = 0
        self._counted: dict[str, float] = dict.fromkeys(COUNTERS, 0.0)
        self._lock = threading.Lock()
        # Of each of its schedulers, where the data are parallel: running, waiting, share of cells.
        self._seen: dict[int, tuple[int, int, float]] = {}
        self._beaten = time.monotonic()
        self._slowest = 0.0
        self._resting = True

    def count(self, **more: float) -> None:
        with self._lock:
            for name, value in more.items():
                self._counted[name] += value

    def see(self, index: int, stats: Any) -> None:
        """What a scheduler says of its step."""
        running, waiting = stats.num_running_reqs, stats.num_waiting_reqs
        with self._lock:
            self._seen[index] = running, waiting, stats.kv_cache_usage
            self._counted["steps"] += 1
            self._counted["set_aside"] += stats.prefix_cache_stats.preempted_requests

    def beat(self) -> None:
        """A step was made."""
        now = time.monotonic()
        took = now - self._beaten
        if not self._resting:
            self._slowest = max(self._slowest, took)
            self.count(decode_seconds=took)
        self._beaten, self._resting = now, False

    def rest(self) -> None:
        """Nothing is asked: silence means nothing until the next step."""
        self._beaten, self._resting = time.monotonic(), True

    def hangs(self, least: float) -> bool:
        """Whether no step was made for `least` seconds, or many times the slowest so far; nobody
        knows how long a first one takes."""
        patience = max(least, min(50 * self._slowest or 10 * least, 10 * least))
        return time.monotonic() - self._beaten > patience

    def figures(self) -> dict[str, float]:
        with self._lock:
            seen = list(self._seen.values())
            used = sum(share for _, _, share in seen) / len(seen) if seen else 0.0
            return {
                **self._counted,
                "batch": sum(running for running, _, _ in seen),
                "cells": self.cells,
                "cells_used": round(used * self.cells),
            }
