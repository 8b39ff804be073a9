"""What a model needs and how fast it writes, foretold by its shapes, by headers of other
quantizations, and by nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inference import gguf
from inference.library import blank, forecast
from inference.library.forecast import Forecast
from inference.library.hub import _joined
from inference.library.nouns import FileRef, Machine, Shapes, Variant
from inference.library.shapes import of_config, of_header

GIB = 1 << 30
# Eight billion parameters; 128 KiB a token.
SHAPES = Shapes(
    architecture="llama",
    parameters=8 * 10**9,
    active_parameters=8 * 10**9,
    layers=32,
    context_length=131072,
    embedding_length=4096,
    feed_forward_length=14336,
    vocab_size=128_256,
    head_count=32,
    head_count_kv=(8,) * 32,
    key_length=128,
    value_length=128,
)
RATES = {"Q4": 20e9, "Q8": 30e9}


def variant(
    quant: str = "Q4_K_M", size: int = 5 * GIB, shapes: Shapes | None = SHAPES, format: str = "gguf"
) -> Variant:
    return Variant(quant, format, (FileRef("m", size),), shapes)


def machine(gib: int = 64, **more: object) -> Machine:
    known = {"memory_total": gib * GIB, "memory_free": gib * GIB * 9 // 10, "rates": RATES}
    return Machine.from_dict({**known, "engines": ("llamacpp",), **more})


def test_it_works() -> None:
    found = forecast.of(variant("Q8_0", 8 * GIB), machine(), 8192)
    # Weights, a gibibyte of cells, and not much beside.
    assert 9 * GIB < found.memory_bytes < 9.5 * GIB
    assert found.context == 8192
    assert found.tokens_per_second == pytest.approx(30e9 / (8 * GIB), rel=0.1)
    assert found.verdict == "runs_slowly"
    assert forecast.of(variant("Q8_0", 2 * GIB), machine(), 8192).verdict == "runs_well"


def test_each_token_of_a_conversation_needs_its_cells() -> None:
    short, long = (forecast.of(variant(), machine(24), context) for context in (2048, 8192))
    assert long.memory_bytes - short.memory_bytes == 6144 * 128 * 1024
    assert short.slots > long.slots > 1


def test_no_conversation_is_longer_than_the_model_has_learnt() -> None:
    found = forecast.of(variant(shapes=replace(SHAPES, context_length=4096)), machine(), 8192)
    assert found.context == 4096


def test_what_is_larger_than_the_machine_does_not_fit() -> None:
    found = forecast.of(variant(size=40 * GIB), machine(16), 8192)
    assert (found.verdict, found.slots, found.tokens_per_second) == ("does_not_fit", 0, None)
    assert found.memory_bytes > 40 * GIB


@pytest.mark.parametrize(
    ("offer", "on"),
    [
        (variant(shapes=None), machine()),
        (variant(size=0), machine()),
        (variant(), machine(rates={}, bandwidth=0.0)),
        (variant(), Machine()),
    ],
)
def test_what_nobody_knows_is_not_promised(offer: Variant, on: Machine) -> None:
    assert forecast.of(offer, on).verdict == "unknown"


def test_safetensors_need_an_engine_for_them() -> None:
    offer = variant("BF16", 16 * GIB, format="safetensors")
    assert forecast.of(offer, machine()).verdict == "no_engine"
    assert forecast.of(offer, machine(engines=("vllm",))).memory_bytes > 17 * GIB


def test_experts_that_a_token_passes_by_take_memory_and_no_time() -> None:
    sparse = replace(SHAPES, active_parameters=10**9)
    whole, some = (forecast.of(variant(shapes=each), machine()) for each in (SHAPES, sparse))
    assert some.memory_bytes == whole.memory_bytes
    assert (some.tokens_per_second or 0) > 4 * (whole.tokens_per_second or 0)


def test_a_model_in_parts_has_the_experts_of_all_of_them(tmp_path: Path) -> None:
    blank.write(tmp_path / "m.gguf", blank.Plan("Q4_0"))
    one = gguf.read(tmp_path / "m.gguf")
    one = replace(one, experts=8, experts_used=2, expert_parameters=one.parameters * 9 // 10)
    both = _joined([one, one])
    assert both.active_parameters == pytest.approx(2 * one.active_parameters)
    assert (both.packed_bytes, both.file_bytes) == (2 * one.packed_bytes, 2 * one.file_bytes)


@pytest.mark.parametrize(("quant", "other"), [("Q4_0", "Q8_0"), ("Q8_0", "Q4_0")])
def test_another_quantizations_header_foretells_the_same(
    tmp_path: Path, quant: str, other: str
) -> None:
    headers = {}
    for each in (quant, other):
        blank.write(tmp_path / f"{each}.gguf", blank.Plan(each))
        headers[each] = gguf.read(tmp_path / f"{each}.gguf")
    size = headers[quant].file_bytes
    own = of_header(headers[quant])
    # As a repository's shapes are shared.
    borrowed = replace(of_header(headers[other]), packed_bytes=0)
    told = [
        forecast.of(variant(quant, size, shapes), machine(), 512).memory_bytes
        for shapes in (own, borrowed)
    ]
    assert told[0] == pytest.approx(told[1], rel=0.02)


@pytest.mark.parametrize("quant", ["Q4_K_M", "q4_k_s", "UD-Q4_K_XL", "Q4_1"])
def test_a_quantization_is_as_fast_as_its_family(quant: str) -> None:
    assert forecast.rate_of(quant, machine()) == RATES["Q4"]


def test_a_family_that_was_not_measured_goes_by_the_bandwidth() -> None:
    assert 0 < forecast.rate_of("IQ3_M", machine(bandwidth=10e9)) < 10e9


def test_the_best_that_runs_well_is_recommended() -> None:
    names = ("F16", "Q8_0", "Q6_K", "Q4_K_M")
    offers = [variant(quant) for quant in names]

    def chosen(*verdicts: str) -> int | None:
        found = [Forecast(verdict=verdict) for verdict in verdicts]
        return forecast.recommend(list(zip(offers, found, strict=True)))

    # More than eight bits are twice the memory for nothing that is seen.
    assert chosen("runs_well", "runs_well", "runs_well", "runs_well") == 1
    assert chosen("does_not_fit", "runs_slowly", "runs_well", "runs_well") == 2
    assert chosen("runs_well", "no_engine", "no_engine", "no_engine") == 0
    assert chosen(*["does_not_fit"] * 3, "runs_slowly") == 3
    assert chosen(*["does_not_fit"] * 4) is None


def test_a_config_tells_the_cells() -> None:
    config = {
        "model_type": "qwen2", "num_hidden_layers": 24, "hidden_size": 896,
        "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32768,
        "intermediate_size": 4864, "vocab_size": 151936,
    }  # fmt: skip
    shapes = of_config(config)
    assert (shapes.layers, shapes.head_count_kv, shapes.key_length) == (24, (2,) * 24, 64)
    assert of_config({"text_config": config, "model_type": "vision"}).layers == 24


@pytest.mark.parametrize("value", [-1, 0, True, 2.5, "24", None, [24], 1 << 40])
def test_a_config_that_says_nonsense_says_nothing(value: object) -> None:
    shapes = of_config({"num_hidden_layers": value, "hidden_size": value, "vocab_size": value})
    assert (shapes.layers, shapes.embedding_length, shapes.vocab_size) == (0, 0, 0)
