"""What the processes of a running site spend, and what Redis is asked: sampled beside a load, so
that a window can be cut out afterwards."""

from __future__ import annotations

import bisect
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import psutil

from tests.live import Site
from tests.running.talking import broker

# Seconds between two samples.
PAUSE = 0.25
PARTS = {"web": "web", "steward": "steward", "redis": "valkey"}


@dataclass(frozen=True, slots=True)
class Spent:
    """Of a window: seconds, seconds of a core by who spent them, commands of Redis."""

    seconds: float
    cpu: dict[str, float]
    commands: float


class Watch:
    """`workers` are the process ids of those that do the work; their children are engines."""

    def __init__(self, site: Site, workers: Sequence[int]) -> None:
        self._site = site
        self._groups = {name: [psutil.Process(site.pid(part))] for name, part in PARTS.items()}
        self._groups["workers"] = [psutil.Process(pid) for pid in workers]
        self._groups["engines"] = [
            child for worker in self._groups["workers"] for child in worker.children(recursive=True)
        ]
        self._groups["clients"] = [psutil.Process(os.getpid())]
        self._times: list[float] = []
        self._samples: list[tuple[dict[str, float], int]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def between(self, begin: float, end: float) -> Spent:
        """By the samples just inside, which may be a little less than was asked for."""
        first = bisect.bisect_left(self._times, begin)
        last = bisect.bisect_right(self._times, end) - 1
        assert last > first, "The window is too short."
        (before, asked), (after, told) = self._samples[first], self._samples[last]
        cpu = {name: after[name] - before[name] for name in before}
        return Spent(self._times[last] - self._times[first], cpu, told - asked)

    def _sample(self) -> None:
        with broker(self._site) as client:
            while not self._over.wait(PAUSE):
                info: Any = client.info("stats")
                self._samples.append((self._cpu(), info["total_commands_processed"]))
                self._times.append(time.monotonic())

    def _cpu(self) -> dict[str, float]:
        return {name: sum(map(used, each)) for name, each in self._groups.items()}


def used(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
