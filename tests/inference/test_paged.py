"""How a model of safetensors is planned for vLLM: pages for conversations beside the weights, or a
refusal with figures."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference import paged
from inference.contract import ModelSpec
from inference.engines.base import LoadError
from inference.fit import Plan, TooLargeError, Wishes
from inference.library.forecast import VLLM_BASE
from inference.paged import Weights
from inference.plans import draw
from inference.settings import Settings

GIB = 1 << 30
CONFIG = {
    "model_type": "llama",
    "hidden_size": 576,
    "num_attention_heads": 9,
    "num_hidden_layers": 30,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
}
# Of that model: keys and values of 30 layers with 3 heads of 64 numbers.
CELL = 2 * 30 * 3 * 64 * 2


@pytest.fixture(autouse=True)
def processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged, "vllm_on_processor", lambda: True)


def model(path: Path, config: dict[str, Any] = CONFIG, size: int = 1000) -> Path:
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / "model.safetensors").write_bytes(bytes(size))
    return path


def plan(path: Path, free: int, **settings: Any) -> Plan:
    return paged.plan(Weights.of(path), free, Wishes.of(settings), settings)


def test_it_works(tmp_path: Path) -> None:
    path = model(tmp_path)
    assert Weights.of(path) == Weights(1000, CELL, 8192)
    spec = ModelSpec("m", "vllm", {"path": str(path)})
    found = draw(spec, Settings("redis://x", tmp_path), 0)(10 * GIB)
    assert (found.setup.slots, found.setup.context_length) == (32, 8192)
    assert found.setup.kv_bytes == 2 * GIB
    assert found.bytes == VLLM_BASE + 1000 + 2 * GIB
    assert not found.cramped


def test_cells_that_are_short_are_shared(tmp_path: Path) -> None:
    found = plan(model(tmp_path), VLLM_BASE + GIB // 2)
    cells = found.setup.kv_bytes // CELL
    assert found.setup.shared_cells == cells
    assert found.setup.slots == cells // 1024
    assert found.bytes <= VLLM_BASE + GIB // 2


def test_the_context_gives_way_where_nobody_set_it(tmp_path: Path) -> None:
    free = VLLM_BASE + 1000 + 5000 * CELL
    found = plan(model(tmp_path), free)
    assert (found.setup.context_length, found.cramped) == (2048, True)
    with pytest.raises(TooLargeError) as error:
        plan(model(tmp_path), free, context_length=8192)
    assert error.value.free == free < error.value.needed


def test_wishes_are_followed(tmp_path: Path) -> None:
    found = plan(model(tmp_path), 10 * GIB, slots=3, context_length=1024, kv_cache_bytes=GIB // 4)
    setup = found.setup
    assert (setup.slots, setup.context_length, setup.kv_bytes) == (3, 1024, GIB // 4)


def test_parts_share_the_cells_and_each_needs_its_own(tmp_path: Path) -> None:
    one, two = (
        plan(model(tmp_path), 16 * GIB),
        plan(model(tmp_path), 16 * GIB, tensor_parallel_size=2),
    )
    assert two.setup.kv_bytes == one.setup.kv_bytes // 2
    assert two.bytes == one.bytes + VLLM_BASE


def test_cards_are_vllm_s_own_to_divide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paged, "vllm_on_processor", lambda: False)
    found = plan(model(tmp_path), 8 * GIB)
    assert (found.setup.slots, found.setup.context_length, found.setup.kv_bytes) == (64, 0, 0)
    assert plan(model(tmp_path), 8 * GIB, context_length=4096).setup.context_length == 4096
    with pytest.raises(TooLargeError):
        plan(model(tmp_path), GIB)


def test_what_is_too_large_is_refused_with_figures(tmp_path: Path) -> None:
    with pytest.raises(TooLargeError) as error:
        plan(model(tmp_path), VLLM_BASE)
    assert error.value.needed > VLLM_BASE == error.value.free


@pytest.mark.parametrize("config", ["{", "[1]", "null", "{" * 100_000])
def test_a_config_that_is_none_is_refused(tmp_path: Path, config: str) -> None:
    path = model(tmp_path)
    (path / "config.json").write_text(config)
    with pytest.raises(LoadError):
        Weights.of(path)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_without_weights_is_refused(tmp_path: Path, missing: str) -> None:
    path = model(tmp_path)
    (path / missing).unlink()
    spec = ModelSpec("m", "vllm", {"path": str(path)})
    with pytest.raises(LoadError):
        draw(spec, replace(Settings("redis://x", tmp_path)), 0)


def test_a_model_of_the_store_is_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHATSITE_DATA_DIR", str(tmp_path))
    (tmp_path / "models").mkdir()
    model(tmp_path / "models" / "tiny")
    spec = ModelSpec("m", "vllm", {"store": "tiny/model.safetensors"})
    assert draw(spec, Settings("redis://x", tmp_path), 0)(10 * GIB).setup.slots == 32
