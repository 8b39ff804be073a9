"""Forecasts beside what a load then takes: of the plan, of what is copied, of a real engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inference import fit, gguf
from inference.engines.weights import locate
from inference.library import forecast, shapes
from inference.library.forecast import Forecast
from inference.library.nouns import FileRef, Machine, Variant
from tests.benchmarks.child_engine import ChildEngine
from tests.inference.library import random_gguf
from tests.inference.library.random_gguf import Kind
from tests.inference.library.test_fits import GIB, SHAPES, machine, variant
from tests.inference.test_fit import header
from tests.inference.weights import SOURCE

# A mixture whose matrices the fast kernels copy: 19 million parameters.
MIXTURE = Kind("qwen3moe", "Q4_K", 4, 256, 256, 4, 2, 64, (), 8, 2)


@pytest.mark.parametrize("context", [512, 2048])
@pytest.mark.parametrize("kind", ["starter", "mixture"])
def test_it_works(tmp_path: Path, kind: str, context: int) -> None:
    path = locate(SOURCE)
    if kind == "mixture":
        path = random_gguf.write(tmp_path / "m.gguf", MIXTURE)
    known = gguf.read(path)
    files = (FileRef(path.name, known.file_bytes),)
    told = Variant(known.quantization, "gguf", files, shapes.of_header(known))
    empty = ChildEngine(tmp_path, environment={}, slots=1, engine="echo", context_length=context)
    engine = ChildEngine(
        tmp_path, environment={}, slots=1, path=path, context_length=context, threads=1
    )
    try:
        engine.pace(16, 250)
        taken = engine.memory - empty.memory
    finally:
        engine.close()
        empty.close()
    assert forecast.of(told, Machine(), context).memory_bytes == pytest.approx(taken, rel=0.1)


@pytest.mark.parametrize("gib", [3, 5, 6, 6.5, 7, 9])
def test_what_fits_is_what_the_plan_of_a_load_says(gib: float) -> None:
    free = int(gib * GIB)
    try:
        fit.plan(header(4.5), free, fit.Wishes(slots=1, context=2048))
        fits = True
    except fit.TooLargeError:
        fits = False
    small = Machine(memory_free=free, rates={"Q4": 60e9}, engines=("llamacpp",))
    found = forecast.of(variant(size=int(4.5 * GIB)), small, 2048)
    assert (found.verdict != "does_not_fit") == fits


def test_what_the_fast_kernels_copy_counts_but_hinders_nothing() -> None:
    plain = variant("Q8_0", 4 * GIB)
    copied = variant("Q8_0", 4 * GIB, replace(SHAPES, packed_bytes=4 * GIB))
    before, after = (forecast.of(each, machine()) for each in (plain, copied))
    assert after.memory_bytes - before.memory_bytes == int(4 * GIB * forecast.MAPPED)
    # The file's own pages give way.
    narrow = machine(9, memory_free=7 * GIB)
    assert after.memory_bytes > narrow.memory_free
    assert forecast.of(copied, narrow).verdict != "does_not_fit"


def test_only_vllm_forgets_what_lies_before_a_window() -> None:
    windowed = replace(SHAPES, windows=(1024,) * 32)
    assert forecast.cache_bytes(windowed, 8192, windowed=True) == 1024 * 128 * 1024
    assert forecast.cache_bytes(windowed, 8192) == GIB


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([("Q4_K_M", 4, "runs_well"), ("Q8_0", 8, "runs_well"), ("F16", 16, "runs_well")], 1),
        ([("Q4_K_S", 4, "runs_well"), ("Q4_K_M", 5, "runs_well"), ("Q8_0", 8, "runs_slowly")], 1),
        ([("F16", 1, "runs_well")], 0),
        # Where all are slow the one that loses little and is quick.
        ([("Q2_K", 3, "runs_slowly"), ("Q4_K_M", 5, "runs_slowly"), ("Q8_0", 8, "runs_slowly")], 1),
        ([("Q2_K", 3, "runs_slowly"), ("Q3_K_M", 4, "runs_slowly")], 1),
        ([("Q4_K_M", 4, "does_not_fit")], None),
        ([], None),
    ],
)
def test_the_best_that_runs_well_is_recommended(
    told: list[tuple[str, int, str]], expected: int | None
) -> None:
    offers = [
        (variant(quant, gib * GIB), Forecast(1, 9.0, verdict)) for quant, gib, verdict in told
    ]
    assert forecast.recommend(offers) == expected
