"""A store as the tests of arrivals use it: the trial runs in a real process, where
the echo engine stands for those that could not load files as small as these."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from inference.library import probe, works
from inference.library.nouns import Errand, Landed, LibraryError
from inference.library.store import Store
from tests.inference.ggufs import LLAMA, build

ECHO = "inference.engines.echo:EchoEngine"
NAMED = ",".join(f"{name}={ECHO}" for name in ("llamacpp", "llamacpp-embed", "vllm"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSITE_ENGINES", NAMED)
    monkeypatch.setattr(probe, "KEPT", (*probe.KEPT, "CHATSITE_ENGINES"))


def errand(kind: str, number: int = 1, **fields: Any) -> Errand:
    return Errand(f"{number:032x}", kind, **fields)


def bring(store: Store, path: Path, number: int = 1, **about: Any) -> Landed:
    """Import it."""
    asked = errand("import", number, path=str(path), about=about)
    return Landed.from_dict(works.run(asked, store, lambda _: None))


def refused(store: Store, path: Path, number: int = 1) -> LibraryError:
    """Why it is not imported; and nothing of it is a model then."""
    before = store.folders()
    with pytest.raises(LibraryError) as caught:
        bring(store, path, number)
    assert store.folders() == before
    return caught.value


def gguf(path: Path, name: str = "Small", **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(build(LLAMA | {"general.name": name}, **more))
    return path


def tensors(**more: Any) -> bytes:
    """A safetensors file of two tensors; `more` goes over its header."""
    header: dict[str, Any] = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [24, 32]},
    }
    text = json.dumps({key: value for key, value in (header | more).items() if value is not None})
    data = text.encode()
    return struct.pack("<Q", len(data)) + data + bytes(32)


def checkpoint(folder: Path) -> Path:
    """A folder as a hub has it for vLLM, with what has to stay outside."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 64}
    (folder / "config.json").write_text(json.dumps(config | {"num_attention_heads": 4}))
    (folder / "model.safetensors").write_bytes(tensors())
    (folder / "tokenizer.json").write_text("{}")
    (folder / "LICENSE").write_text("Do as you like.")
    return folder
