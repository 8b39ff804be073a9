"""R3 and R5: what may come in is weights in two formats and plain data; whatever else a stranger
sends is refused with a reason, and nothing native has seen it."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.library import border, safetensors
from inference.library.nouns import LibraryError
from inference.library.safetensors import SafetensorsError
from tests.inference.ggufs import LLAMA, build
from tests.inference.test_gguf import mutate

# Of each format.
DAMAGED = 5000
CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "vocab_size": 100,
    "max_position_embeddings": 2048,
}
ECHO = "inference.engines.echo:EchoEngine"


def pack(header: Any, data: int = 96) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


def tensor(begin: int = 0, end: int = 64, kind: Any = "F16", shape: Any = (4, 8)) -> dict[str, Any]:
    return {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}


GOOD = {"__metadata__": {"format": "pt"}, "a": tensor(), "b": tensor(64, 96, "F32", [8])}


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., str]:
    """The kind of refusal that these files get together."""

    def judge(**files: bytes) -> str:
        for name, data in files.items():
            path = tmp_path / name.replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        with pytest.raises(LibraryError) as error:
            border.judge(tmp_path)
        return error.value.kind

    return judge


def test_it_works(tmp_path: Path) -> None:
    (tmp_path / "small.Q4_K_M.gguf").write_bytes(build())
    (tmp_path / "mmproj-small.gguf").write_bytes(build())
    (tmp_path / "README.md").write_text("Hello")
    passed = border.judge(tmp_path)
    assert (passed.file, passed.engine, passed.quant) == ("small.Q4_K_M.gguf", "llamacpp", "Q4_K_M")
    assert passed.parts == ("small.Q4_K_M.gguf",)
    assert len(passed.paths) == 3
    assert passed.template == "{{ messages }}"
    assert passed.shapes.layers == 2


def test_what_makes_vectors_gets_its_engine(tmp_path: Path) -> None:
    values = {key.replace("llama.", "bert."): value for key, value in LLAMA.items()}
    (tmp_path / "m.gguf").write_bytes(build(values | {"general.architecture": "bert"}))
    assert border.judge(tmp_path).engine == "llamacpp-embed"


def test_safetensors_with_their_config(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(pack(GOOD))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    passed = border.judge(tmp_path)
    assert (passed.format, passed.engine, passed.file) == ("safetensors", "vllm", "config.json")
    assert passed.shapes.parameters == 40
    assert passed.template == "{{ messages }}"


@pytest.mark.parametrize(
    "name",
    ["model.bin", "model.pt", "model.pkl", "model.ckpt", "modeling.py", "a.so", "run.sh",
     "x.gguf.zip", "README.py", "LICENSE.exe", "model", ".hidden.gguf", "a.ipynb", "weights.h5",
     "a.safetensors.py"],
)  # fmt: skip
def test_r5_neither_code_nor_pickles(tmp_path: Path, name: str) -> None:
    (tmp_path / "good.gguf").write_bytes(build())
    (tmp_path / name).write_bytes(build())
    with pytest.raises(LibraryError) as error:
        border.judge(tmp_path)
    assert error.value.to_dict() == {"kind": "refused_file", "file": name}
    # And before a byte is fetched.
    with pytest.raises(LibraryError, match="refused_file"):
        border.check_names(["good.gguf", name])


def test_what_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.gguf").write_bytes(build())
    (tmp_path / "secret.txt").write_text("secret")
    for target in ("../secret.txt", "/etc/passwd", "nothing"):
        (folder / "note.txt").symlink_to(target)
        with pytest.raises(LibraryError, match="refused_file"):
            border.judge(folder)
        (folder / "note.txt").unlink()
    (folder / "more").symlink_to(tmp_path)
    with pytest.raises(LibraryError, match="refused_file"):
        border.judge(folder)
    (folder / "more").unlink()
    os.mkfifo(folder / "pipe.txt")
    with pytest.raises(LibraryError, match="refused_file"):
        border.judge(folder)


def test_what_is_no_model(refused: Callable[..., str]) -> None:
    assert refused(README__md=b"Hello") == "incomplete"
    assert refused(a__gguf=b"GGUF") == "bad_header"
    assert refused(a__gguf=build({"general.architecture": "llama"})) == "bad_header"


def test_two_models_are_not_one(refused: Callable[..., str]) -> None:
    assert refused(a__gguf=build(), b__gguf=build()) == "several"


def test_a_part_is_missing(refused: Callable[..., str]) -> None:
    parts = {f"m-0000{number}-of-00003__gguf": build() for number in (1, 3)}
    assert refused(**parts) == "incomplete"


def test_a_list_tells_of_a_file_that_is_not_there(refused: Callable[..., str]) -> None:
    listed = {"weight_map": {"a": "model-1.safetensors", "b": "../../etc/passwd"}}
    files = {"model-1__safetensors": pack(GOOD), "config__json": json.dumps(CONFIG).encode()}
    index = "model__safetensors__index__json"
    assert refused(**files, **{index: json.dumps(listed).encode()}) == "incomplete"
    assert refused(**files, **{index: b"[" * 100_000}) == "bad_header"
    assert refused(**files | {"config__json": b"[]"}) == "bad_header"


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "half a length": b"\x10\0\0",
    "a length without end": struct.pack("<Q", 1 << 63) + b"{}",
    "a header longer than the file": struct.pack("<Q", 1000) + b"{}",
    "no object": pack(b"[1, 2]  "),
    "nesting without end": pack(b'{"a":' * 100_000),
    "no text": pack(b"{\xff\xfe}"),
    "no tensors": pack({}, 0),
    "a name twice": pack(b'{"a": {}, "a": {}}'),
    "an unknown type": pack({"a": tensor(0, 96, "Q4")}),
    "a type that is none": pack({"a": tensor(0, 96, ["F16"])}),
    "a shape with less than nothing": pack({"a": tensor(0, 96, "F16", [-8, -6])}),
    "a shape of truths": pack({"a": tensor(0, 96, "F16", [True, 48])}),
    "a shape of fractions": pack({"a": tensor(0, 96, "F16", [48.0])}),
    "a shape that overflows": pack({"a": tensor(0, 0, "F16", [1 << 40, 1 << 40])}),
    "many dimensions": pack({"a": tensor(0, 96, "F16", [1] * 30 + [48])}),
    "another length than its shape": pack({"a": tensor(0, 96, "F16", [47])}),
    "it ends before it begins": pack({"a": tensor(96, 0, "F16", [48])}),
    "beyond the end": pack({"a": tensor(0, 192, "F16", [96])}),
    "over one another": pack({"a": tensor(0, 96, "F16", [48]), "b": tensor(0, 96, "F16", [48])}),
    "a hole": pack({"a": tensor(0, 32, "F16", [16]), "b": tensor(64, 96, "F16", [16])}),
    "something at the end": pack({"a": tensor(0, 64)}),
    "something more": pack({"a": tensor(0, 96, "F16", [48]) | {"run": "os.system"}}),
    "metadata that are no texts": pack({"__metadata__": {"a": []}, "a": tensor(0, 64)}, 64),
    "not a number": pack(b'{"a": {"dtype": "F16", "shape": [NaN], "data_offsets": [0, 96]}}'),
    "digits without end": pack(b'{"a": ' + b"9" * 50_000 + b"}"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_r3_safetensors_that_lie(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(BROKEN[name])
    with pytest.raises(SafetensorsError):
        safetensors.check(path)


def test_r3_damaged_headers_are_refused_with_a_reason(tmp_path: Path) -> None:
    """Of either format. Whatever is no refusal is a model without a lie that matters."""
    dice = random.Random(5)
    formats = {"m.gguf": build(), "m.safetensors": pack(GOOD)}
    outcomes: dict[tuple[str, str], int] = {}
    for name, data in formats.items():
        path = tmp_path / name
        for _ in range(DAMAGED):
            path.write_bytes(mutate(data, dice))
            try:
                border.check_header(path)
            except LibraryError as error:
                outcome = (name, error.kind if error.facts["why"] else "no reason")
            else:
                outcome = (name, "good")
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    assert sum(outcomes.values()) == 2 * DAMAGED
    assert {kind for _, kind in outcomes} == {"bad_header", "good"}
    for name in formats:
        assert outcomes[name, "bad_header"] > DAMAGED // 4, outcomes
        assert outcomes[name, "good"] > 0, outcomes
