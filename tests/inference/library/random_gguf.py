"""GGUF files of well-known kinds with random weights and the starter model's vocabulary: they mean
nothing and take the memory and the time of real ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from inference import gguf
from inference.engines.weights import locate
from inference.library import blank
from inference.library.blank import Tensor
from tests.inference.weights import SOURCE

VOCABULARY = 49152


@dataclass(frozen=True, slots=True)
class Kind:
    """A model's shape; `more` are further values of its architecture."""

    architecture: str
    quant: str
    layers: int
    width: int
    inner: int
    heads: int
    heads_kv: int
    head: int
    more: tuple[tuple[str, int | float], ...] = ()
    experts: int = 0
    used: int = 0


# 0.1 to 1.4 billion parameters.
KINDS = {
    "grouped": Kind("llama", "Q8_0", 20, 1024, 2816, 16, 4, 64),
    "window": Kind(
        "gemma3", "Q4_0", 18, 1024, 4096, 4, 1, 256, (("attention.sliding_window", 512),)
    ),
    "experts": Kind("qwen3moe", "Q4_K", 12, 1024, 768, 16, 4, 64, (), 16, 4),
    "dense": Kind("qwen2", "Q4_K", 28, 1536, 8960, 12, 2, 128),
    "deep": Kind("qwen3", "Q6_K", 16, 1024, 3072, 16, 8, 128),
}


def write(path: Path, kind: Kind) -> Path:
    blank.save(path, _values(kind), list(_tensors(kind)), vocabulary())
    return path


def _values(kind: Kind) -> dict[str, Any]:
    own: dict[str, int | float] = {
        "block_count": kind.layers,
        "context_length": 32768,
        "embedding_length": kind.width,
        "feed_forward_length": kind.inner,
        "attention.head_count": kind.heads,
        "attention.head_count_kv": kind.heads_kv,
        "attention.key_length": kind.head,
        "attention.value_length": kind.head,
        "attention.layer_norm_rms_epsilon": 1e-6,
        "rope.freq_base": 10000.0,
        **dict(kind.more),
    }
    if kind.experts:
        own |= {"expert_count": kind.experts, "expert_used_count": kind.used}
        own |= {"expert_feed_forward_length": kind.inner}
    return {
        "general.architecture": kind.architecture,
        **{f"{kind.architecture}.{key}": value for key, value in own.items()},
    }


def _tensors(kind: Kind) -> Iterator[Tensor]:
    yield "token_embd.weight", (kind.width, VOCABULARY), kind.quant
    yield "output_norm.weight", (kind.width,), "F32"
    for layer in range(kind.layers):
        for name, shape, quant in _layer(kind):
            yield f"blk.{layer}.{name}", shape, quant


def _layer(kind: Kind) -> Iterator[Tensor]:
    width, whole, side = kind.width, kind.heads * kind.head, kind.heads_kv * kind.head
    norms = ["attn_norm", "ffn_norm"]
    norms += ["post_attention_norm", "post_ffw_norm"] if kind.architecture == "gemma3" else []
    yield from ((f"{name}.weight", (width,), "F32") for name in norms)
    if kind.architecture.startswith(("gemma3", "qwen3")):
        yield from ((f"attn_{name}_norm.weight", (kind.head,), "F32") for name in "qk")
    if kind.architecture == "qwen2":
        yield "attn_q.bias", (whole,), "F32"
        yield "attn_k.bias", (side,), "F32"
        yield "attn_v.bias", (side,), "F32"
    yield "attn_q.weight", (width, whole), kind.quant
    yield "attn_k.weight", (width, side), kind.quant
    yield "attn_v.weight", (width, side), kind.quant
    yield "attn_output.weight", (whole, width), kind.quant
    many = (kind.experts,) if kind.experts else ()
    mark = "_exps" if many else ""
    if many:
        yield "ffn_gate_inp.weight", (width, kind.experts), "F32"
    for name in ("gate", "up"):
        yield f"ffn_{name}{mark}.weight", (width, kind.inner, *many), kind.quant
    yield f"ffn_down{mark}.weight", (kind.inner, width, *many), kind.quant


def vocabulary() -> list[bytes]:
    """The starter model's values about tokens, byte by byte."""
    path = locate(SOURCE)
    with path.open("rb") as file:
        return [data for key, data in _values_of(file, path.stat().st_size) if "tokenizer." in key]


def _values_of(file: BinaryIO, size: int) -> Iterator[tuple[str, bytes]]:
    """Each key, and its bytes together with those of its value."""
    head = file.read(min(size, 8 << 20))
    file.seek(0)
    reader = gguf.Reader(file, size)
    reader.skip(8)
    _, count = reader.number("Q"), reader.number("Q")
    for _ in range(count):
        begin = reader.position
        key, kind = reader.text(gguf.LONGEST_KEY), reader.number("I")
        if kind == gguf.ARRAY:
            _skip_array(reader)
        elif kind == gguf.STRING:
            reader.skip_texts(1)
        else:
            reader.number(gguf.SCALARS[kind])
        yield key, head[begin : reader.position]


def _skip_array(reader: gguf.Reader) -> None:
    kind, count = reader.number("I"), reader.number("Q")
    if kind == gguf.STRING:
        reader.skip_texts(count)
    else:
        widths = {"B": 1, "b": 1, "?": 1, "H": 2, "h": 2, "Q": 8, "q": 8, "d": 8}
        reader.skip(count * widths.get(gguf.SCALARS[kind], 4))
