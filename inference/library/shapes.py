"""What the need for memory and time follows from, read from a GGUF header or from a config.json. It
computes no need itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inference.gguf import Header
from inference.library.nouns import Shapes

# Numbers beyond these are no model's.
MOST, MOST_LAYERS = (1 << 31) - 1, 4096


def of_header(header: Header) -> Shapes:
    return Shapes(
        architecture=header.architecture,
        parameters=header.parameters,
        active_parameters=header.active_parameters,
        layers=header.block_count,
        context_length=header.context_length,
        embedding_length=header.embedding_length,
        feed_forward_length=header.feed_forward_length,
        vocab_size=header.vocab_size,
        head_count=header.head_count,
        head_count_kv=header.head_count_kv,
        key_length=header.key_length,
        value_length=header.value_length,
        state_bytes=header.state_bytes,
        experts=header.experts,
        experts_used=header.experts_used,
        packed_bytes=header.packed_bytes,
        embeds="bert" in header.architecture,
    )


def of_config(config: Mapping[str, Any]) -> Shapes:
    """What is no sensible number counts as unknown."""
    if isinstance(inner := config.get("text_config"), Mapping):
        config = {**config, **inner}

    def whole(*names: str, most: int = MOST) -> int:
        for name in names:
            value = config.get(name)
            if type(value) is int and 0 < value <= most:
                return value
        return 0

    layers = whole("num_hidden_layers", "n_layer", most=MOST_LAYERS)
    width, heads = whole("hidden_size", "n_embd"), whole("num_attention_heads", "n_head")
    head = whole("head_dim") or (width // heads if heads else 0)
    return Shapes(
        architecture=str(config.get("model_type") or "")[:100],
        layers=layers,
        context_length=whole("max_position_embeddings", "n_positions"),
        embedding_length=width,
        feed_forward_length=whole("intermediate_size"),
        vocab_size=whole("vocab_size"),
        head_count=heads,
        head_count_kv=(whole("num_key_value_heads") or heads,) * layers,
        key_length=head,
        value_length=head,
        experts=whole("num_local_experts", "num_experts", "n_routed_experts"),
        experts_used=whole("num_experts_per_tok"),
    )
