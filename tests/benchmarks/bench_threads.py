"""How well the engine chooses its threads: by the best fixed setting, on an idle machine and with
one core taken by another program."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks.child_engine import ChildEngine
from tests.benchmarks.measuring import Figure, Plan, alternate, compared

SLOTS, CONTEXT = 8, 2048
# Sequences at once.
COUNTS = (1, 8)
IDLE_GOAL, BUSY_GOAL = 0.95, 0.9
CHOSEN = "chosen"
# Seconds: until the choice has settled, and measured.
SETTLE, WINDOW = 3.0, 4.0


def measure(plan: Plan) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="benchmark-threads-") as folder:
        engines = start(Path(folder), plan.threads)
        try:
            for title, machine, goal in (
                ("idle machine", nullcontext, IDLE_GOAL),
                ("one core taken", busy_program, BUSY_GOAL),
            ):
                for count in COUNTS:
                    with machine():
                        yield compare(plan, engines, f"{title}, {count} at once", count, goal)
        finally:
            for engine in engines.values():
                engine.close()


def start(folder: Path, cores: int) -> dict[str, ChildEngine]:
    """The engine that chooses, and one for each fixed setting: threads, and how they wait."""
    settings: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
        CHOSEN: ({}, {}),
        "1 thread": ({}, {"threads": 1}),
    }
    for threads in sorted({max(2, cores // 2), max(2, cores)}):
        settings[f"{threads} threads"] = ({}, {"threads": threads})
        passive = {"OMP_WAIT_POLICY": "passive"}
        settings[f"{threads} passive threads"] = (passive, {"threads": threads})
    return {
        name: ChildEngine(
            folder, environment=environment, slots=SLOTS, context_length=CONTEXT, **fixed
        )
        for name, (environment, fixed) in settings.items()
    }


def compare(
    plan: Plan, engines: dict[str, ChildEngine], title: str, count: int, goal: float
) -> Figure:
    window = 1.0 if plan.quick else WINDOW
    settle = 1.0 if plan.quick else SETTLE
    # A choice may need longer than that when the machine has just changed.
    engines[CHOSEN].rate(count, 2 * settle, window)
    sides = [partial(engine.rate, count, settle, window) for engine in engines.values()]
    rates = dict(zip(engines, alternate(plan.rounds, *sides), strict=True))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    best = max((name for name in rates if name != CHOSEN), key=lambda name: medians[name])
    figure = compared(f"threads by best fixed, {title}", rates[CHOSEN], rates[best], goal)
    others = ", ".join(f"{name} {value:.0f}" for name, value in medians.items())
    return Figure(figure.name, figure.values, goal, note=f"tokens/s: {others}")


@contextmanager
def busy_program() -> Iterator[None]:
    """A program that computes all the time; the system decides on which core."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()
