"""What headers and configs say of a model's shape, and what files of each kind need."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference import gguf
from inference.library import shapes
from tests.inference.library import random_gguf
from tests.inference.library.random_gguf import Kind

SMALL = Kind("llama", "Q8_0", 2, 256, 512, 4, 2, 64)
MIXTURE = Kind("qwen3moe", "Q4_K", 2, 256, 256, 4, 2, 64, (), 8, 2)


def test_it_works(tmp_path: Path) -> None:
    found = shapes.of_header(gguf.read(random_gguf.write(tmp_path / "m.gguf", SMALL)))
    assert (found.architecture, found.layers, found.embedding_length) == ("llama", 2, 256)
    assert (found.head_count_kv, found.key_length) == ((2, 2), 64)
    assert found.feed_forward_length == 512
    assert found.active_parameters == found.parameters
    # Its kernels take it as it lies in the file.
    assert found.packed_bytes == 0


def test_of_a_mixture_it_knows_what_a_token_passes_through(tmp_path: Path) -> None:
    header = gguf.read(random_gguf.write(tmp_path / "m.gguf", MIXTURE))
    found = shapes.of_header(header)
    assert (found.experts, found.experts_used) == (8, 2)
    experts = 2 * 3 * 256 * 256 * 8
    assert found.parameters - found.active_parameters == experts * 6 // 8
    assert 0.95 * header.tensor_bytes < found.packed_bytes <= header.tensor_bytes


def test_configs_say_it_in_their_own_words() -> None:
    config = {
        "model_type": "gemma3",
        "text_config": {
            "num_hidden_layers": 3,
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_attention_heads": 8,
            "num_key_value_heads": 2,
            "head_dim": 128,
            "vocab_size": 1000,
            "max_position_embeddings": 4096,
        },
    }
    found = shapes.of_config(config)
    assert (found.layers, found.head_count_kv, found.key_length) == (3, (2, 2, 2), 128)
    assert (found.context_length, found.feed_forward_length) == (4096, 2048)


@pytest.mark.parametrize("value", [-1, 1 << 40, "3", None, True, [1]])
def test_what_is_no_sensible_number_is_unknown(value: object) -> None:
    found = shapes.of_config({"num_hidden_layers": value, "hidden_size": value})
    assert (found.layers, found.embedding_length) == (0, 0)
