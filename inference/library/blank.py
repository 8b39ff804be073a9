"""Small models with random weights, which mean nothing and compute like real ones: to measure a
machine with. It writes files and reads none."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from inference.quants import TYPES

# What random bytes must not be: the half-precision scales of a block, where they lie in it.
SCALES = {"Q4_0": (0,), "Q4_1": (0, 2), "Q5_0": (0,), "Q8_0": (0,), "Q4_K": (0, 2), "Q5_K": (0, 2)}
SCALES |= {"Q2_K": (80, 82), "Q3_K": (108,), "Q6_K": (208,), "IQ4_NL": (0,), "IQ4_XS": (0,)}
HALF = struct.pack("<e", 0.004)
NUMBERS = {name: (number, block, width) for number, (name, block, width) in TYPES.items()}
# What one write takes, in blocks.
CHUNK = 4096
# Name, shape, quantization.
Tensor = tuple[str, tuple[int, ...], str]
KINDS = {int: (4, "<I"), float: (6, "<f")}


@dataclass(frozen=True, slots=True)
class Plan:
    """The shape of a llama: `quant` is the type of its matrices."""

    quant: str
    layers: int = 2
    width: int = 2048
    inner: int = 5632
    heads: int = 16
    heads_kv: int = 4
    context: int = 4096

    @property
    def head(self) -> int:
        return self.width // self.heads


def of_size(quant: str, size: int) -> Plan:
    """One with at least so many bytes of matrices."""
    one = Plan(quant, layers=1)
    layer = sum(_bytes(shape, kind) for name, shape, kind in _tensors(one) if "blk" in name)
    return Plan(quant, layers=-(-size // layer))


def write(path: Path, plan: Plan) -> int:
    """The bytes of its matrices, which a token passes through once each."""
    tensors = list(_tensors(plan))
    save(path, _values(plan), tensors)
    return sum(_bytes(shape, quant) for _, shape, quant in tensors if len(shape) > 1)


def save(
    path: Path, values: dict[str, Any], tensors: Sequence[Tensor], copied: Sequence[bytes] = ()
) -> None:
    """A file of these values and of random tensors; `copied` are values as another file has them,
    with their keys."""
    with path.open("wb") as file:
        count = len(values) + len(copied)
        file.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), count))
        for key, value in values.items():
            file.write(_text(key) + _typed(value))
        file.writelines(copied)
        offset = 0
        for name, shape, quant in tensors:
            file.write(_text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape))
            file.write(struct.pack("<IQ", NUMBERS[quant][0], offset))
            offset += _aligned(_bytes(shape, quant))
        file.write(bytes(-file.tell() % 32))
        for _, shape, quant in tensors:
            _fill(file, shape, quant)


def _values(plan: Plan) -> dict[str, Any]:
    own = {
        "block_count": plan.layers,
        "context_length": plan.context,
        "embedding_length": plan.width,
        "feed_forward_length": plan.inner,
        "attention.head_count": plan.heads,
        "attention.head_count_kv": plan.heads_kv,
        "attention.layer_norm_rms_epsilon": 1e-5,
    }
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    kinds = [2, 3, 3] + [6] * 256
    return {
        "general.architecture": "llama",
        **{f"llama.{key}": value for key, value in own.items()},
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * len(tokens),
        "tokenizer.ggml.token_type": kinds,
    }


def _tensors(plan: Plan) -> Iterator[Tensor]:
    width, side = plan.width, plan.heads_kv * plan.head
    vocabulary = 259
    yield "token_embd.weight", (width, vocabulary), plan.quant
    yield "output_norm.weight", (width,), "F32"
    for number in range(plan.layers):
        layer = f"blk.{number}."
        for name in ("attn_norm", "ffn_norm"):
            yield f"{layer}{name}.weight", (width,), "F32"
        for name, shape in {
            "attn_q": (width, width),
            "attn_k": (width, side),
            "attn_v": (width, side),
            "attn_output": (width, width),
            "ffn_gate": (width, plan.inner),
            "ffn_up": (width, plan.inner),
            "ffn_down": (plan.inner, width),
        }.items():
            yield f"{layer}{name}.weight", shape, plan.quant


def _bytes(shape: tuple[int, ...], quant: str) -> int:
    _, block, width = NUMBERS[quant]
    return math.prod(shape) // block * width


def _aligned(size: int) -> int:
    return size + -size % 32


def _fill(file: BinaryIO, shape: tuple[int, ...], quant: str) -> None:
    size = _bytes(shape, quant)
    if quant == "F32" and len(shape) > 1:
        # A router's: experts of equal weight would leave all tokens to the same ones.
        numbers = ((byte - 128) / 1280 for byte in os.urandom(size // 4))
        file.write(struct.pack(f"<{size // 4}f", *numbers))
    elif quant == "F32":
        file.write(struct.pack("<f", 1.0) * (size // 4))
    else:
        chunk = _chunk(quant)
        whole, rest = divmod(size, len(chunk))
        file.writelines(chunk for _ in range(whole))
        file.write(chunk[:rest])
    file.write(bytes(-size % 32))


def _chunk(quant: str) -> bytes:
    """Some blocks of random numbers with scales that are small and no NaN."""
    _, _, width = NUMBERS[quant]
    if quant in {"F16", "BF16"}:
        return (HALF if quant == "F16" else struct.pack("<f", 0.004)[2:]) * CHUNK
    data = bytearray(os.urandom(CHUNK * width))
    for block in range(0, len(data), width):
        for offset in SCALES[quant]:
            data[block + offset : block + offset + 2] = HALF
    return bytes(data)


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _typed(value: Any) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    if isinstance(value, list):
        if isinstance(value[0], str):
            head, body = 8, b"".join(map(_text, value))
        else:
            head, layout = (5, "<i") if isinstance(value[0], int) else KINDS[float]
            body = b"".join(struct.pack(layout, each) for each in value)
        return struct.pack("<IIQ", 9, head, len(value)) + body
    kind, layout = KINDS[type(value)]
    return struct.pack("<I", kind) + struct.pack(layout, value)
