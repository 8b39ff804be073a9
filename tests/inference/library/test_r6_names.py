"""R6: a name from elsewhere is a place below the folder or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference import places
from inference.engines.base import LoadError
from inference.engines.weights import locate
from inference.library.nouns import Errand, LibraryError
from inference.library.store import Store

ODD = [
    "", ".", "..", "../a", "a/../b", "a/..", "/a", "//a", "a//b", "a/", "./a", "a/./b", "a\\b",
    "..\\a", "C:\\a", "a\0b", "a\nb", "a\u202eb", "a\x7f", ".a", "a/.b", " a", "a ", "a/ /b",
    "x" * 300, "a/" * 600 + "a", "~/a/..", "\ud800",
]  # fmt: skip
PLAIN = ["a", "a.gguf", "a/b.gguf", "A model (1).gguf", "模型.gguf", "a..b", "~", "-rf", "a:b"]


@pytest.mark.parametrize("name", ODD)
def test_names_that_lead_elsewhere(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not places.is_plain(name)
    with pytest.raises(places.OddNameError):
        places.below(tmp_path, name)
    store = Store(tmp_path)
    if name:
        with pytest.raises(LibraryError, match="refused_file"):
            store.path("good", name)
    with pytest.raises(LibraryError, match="refused_file"):
        store.path(name, "a.gguf")
    with pytest.raises(LibraryError, match="refused_file"):
        store.remove(name)
    monkeypatch.setenv("CHATSITE_DATA_DIR", str(tmp_path))
    with pytest.raises(LoadError):
        locate({"store": f"good/{name}"})


@pytest.mark.parametrize("name", PLAIN)
def test_names_that_are_none_of_these(tmp_path: Path, name: str) -> None:
    assert places.below(tmp_path, name) == tmp_path / name


def test_a_link_on_the_disk_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.gguf").write_bytes(b"secret")
    root = tmp_path / "models"
    root.mkdir()
    (root / "linked").symlink_to(outside)
    (root / "real").mkdir()
    (root / "real" / "m.gguf").symlink_to(outside / "secret.gguf")
    store = Store(tmp_path)
    monkeypatch.setenv("CHATSITE_DATA_DIR", str(tmp_path))
    for folder, file in (("linked", "secret.gguf"), ("real", "m.gguf")):
        with pytest.raises(LibraryError, match="refused_file"):
            store.path(folder, file)
        with pytest.raises(LoadError):
            locate({"store": f"{folder}/{file}"})
    with pytest.raises(LibraryError, match="refused_file"):
        store.remove("linked")
    assert (outside / "secret.gguf").exists()


def test_what_is_under_way_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    (store.incoming("abc") / "m.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv("CHATSITE_DATA_DIR", str(tmp_path))
    with pytest.raises(LoadError):
        locate({"store": ".incoming/abc/m.gguf"})
    with pytest.raises(LibraryError, match="refused_file"):
        store.remove(".incoming")
    with pytest.raises(LibraryError, match="refused_file"):
        store.land(store.incoming("abc"), Errand("abc", "import", folder="../x"), lambda _: None)


def test_a_file_of_the_store_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "models" / "small-1" / "m.gguf"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"GGUF")
    monkeypatch.setenv("CHATSITE_DATA_DIR", str(tmp_path))
    assert locate({"store": "small-1/m.gguf"}) == place
