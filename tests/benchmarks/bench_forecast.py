"""What was foretold of a model by what it then needs: memory and speed, of the starter model and of
files with random weights, at three context lengths each."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from inference import gguf
from inference.engines.weights import locate
from inference.library import forecast, shapes
from inference.library import measure as survey
from inference.library.forecast import Forecast
from inference.library.nouns import FileRef, Machine, Variant
from tests.benchmarks.child_engine import ChildEngine
from tests.benchmarks.measuring import SOURCE, Figure, Plan
from tests.inference.library import random_gguf

CONTEXTS = (512, 2048, 8192)
# How far the median may be from what was foretold, either way.
MEMORY_GOAL, SPEED_GOAL = 1.10, 1.35
# Tokens of an answer, of which the first ones do not count; words of a question that fills a batch,
# of which memory then is what it stays. It is the same in each round, and asked in the first.
ANSWER, WORDS = 48, 250


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes of the engine's process beside an empty one, and tokens per second."""

    memory: int
    speed: float


def measure(plan: Plan) -> Iterator[Figure]:
    """Each round takes the machine's measure anew: others may take its cores now and then."""
    with tempfile.TemporaryDirectory(prefix="benchmark-forecast-") as name:
        folder = Path(name)
        paths = {"starter": locate(SOURCE)}
        for kind, known in random_gguf.KINDS.items():
            paths[kind] = random_gguf.write(folder / f"{kind}.gguf", known)
        empty = base(folder)
        found: dict[tuple[str, int], list[tuple[Forecast, Measured]]] = {}
        for number in range(plan.rounds):
            machine = this_machine(folder)
            for kind, path in paths.items():
                for context in CONTEXTS:
                    told = foretold(path, machine, context)
                    seen = tried(folder, path, context, empty, 0 if number else WORDS)
                    found.setdefault((kind, context), []).append((told, seen))
        for (kind, context), pairs in found.items():
            yield from figures(f"{kind}, {context} tokens", pairs)


def figures(title: str, pairs: list[tuple[Forecast, Measured]]) -> Iterator[Figure]:
    memory = [(float(told.memory_bytes), float(seen.memory)) for told, seen in pairs[:1]]
    yield apart(f"{title}: memory", memory, MEMORY_GOAL)
    yield apart(
        f"{title}: speed", [(t.tokens_per_second or 0, s.speed) for t, s in pairs], SPEED_GOAL
    )


def apart(name: str, pairs: list[tuple[float, float]], goal: float) -> Figure:
    """The larger of the two medians by the smaller."""
    told, seen = (statistics.median(values) for values in zip(*pairs, strict=True))
    values = tuple(max(a, b) / max(min(a, b), 1e-9) for a, b in pairs)
    ratio = max(told, seen) / max(min(told, seen), 1e-9)
    # The median of the rounds' own distances would hide that they lie on one side.
    return Figure(
        name, (ratio,) * len(values), goal, at_most=True, note=f"{told:.4g} by {seen:.4g}"
    )


def this_machine(folder: Path) -> Machine:
    known = survey.run(folder)
    assert known, "The machine cannot be measured."
    memory = psutil.virtual_memory()
    return Machine.from_dict(
        {**known, "memory_total": memory.total, "memory_free": memory.available}
    )


def foretold(path: Path, machine: Machine, context: int) -> Forecast:
    header = gguf.read(path)
    files = (FileRef(path.name, header.file_bytes),)
    variant = Variant(header.quantization, "gguf", files, shapes.of_header(header))
    return forecast.of(variant, machine, context)


def base(folder: Path) -> int:
    """Bytes of an engine's process that has loaded nothing: the echo is one."""
    engine = ChildEngine(folder, environment={}, slots=1, engine="echo", context_length=512)
    try:
        return engine.memory
    finally:
        engine.close()


def tried(folder: Path, path: Path, context: int, empty: int, words: int) -> Measured:
    engine = ChildEngine(folder, environment={}, slots=1, path=path, context_length=context)
    try:
        speed = engine.pace(ANSWER, words)
        return Measured(engine.memory - empty, speed)
    finally:
        engine.close()
