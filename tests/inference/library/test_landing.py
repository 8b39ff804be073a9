"""Landing: what is in the store is complete, judged and tried; what is not good lies elsewhere,
with the reason."""

from __future__ import annotations

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.contract import ModelSpec
from inference.engines.base import LoadError
from inference.engines.weights import locate
from inference.hardware import Verdicts
from inference.library import quarantine, works
from inference.library.nouns import FileRef, LibraryError
from inference.library.store import Store, folder_name
from tests.inference.ggufs import build
from tests.inference.library.stores import bring, echo, errand, gguf, refused, store
from tests.inference.weights import SOURCE

__all__ = ["echo", "store"]


def arrive(store: Store, data: bytes, number: int = 1) -> Path:
    """As a download leaves it."""
    folder = store.incoming(f"{number:032x}")
    (folder / "m-Q4_0.gguf").write_bytes(data)
    return folder


def reason(store: Store, number: int = 1) -> dict[str, str]:
    place = store.root / quarantine.NAME / f"{number:032x}"
    told: dict[str, str] = json.loads(place.with_suffix(".json").read_text())
    assert any(place.iterdir())
    return told


def test_it_works(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Real weights, tried in the jail, found by the engines afterwards, and gone."""
    weights = locate(SOURCE)
    heard: list[dict[str, Any]] = []
    asked = errand("import", path=str(weights))
    landed = works.run(asked, store, heard.append)
    (ref,) = landed["files"]
    assert ref["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert landed["engine"] == "llamacpp"
    assert landed["shapes"]["layers"] == 30
    assert [each["phase"] for each in heard][-1] == "testing"
    assert {"copying", "checking", "verifying"} <= {each["phase"] for each in heard}
    manifest = store.manifest(landed["folder"])
    assert manifest
    assert "no_network" in manifest.defences
    monkeypatch.setenv("CHATSITE_DATA_DIR", str(store.data_dir))
    here = locate({"store": f"{landed['folder']}/{landed['file']}"})
    assert here.read_bytes() == weights.read_bytes()
    assert store.used()[landed["folder"]] > weights.stat().st_size
    freed = works.run(errand("remove", 2, folder=landed["folder"]), store, heard.append)
    assert freed["freed"] > weights.stat().st_size
    assert not here.exists()
    assert sum(store.used().values()) == 0


@pytest.mark.usefixtures("echo")
def test_what_landed_says_so_again(store: Store) -> None:
    """The process may have ended between the last rename and its word about it."""
    asked = errand("download", repo="owner/m", revision="abc", folder="m-abc")
    landed = store.land(arrive(store, build()), asked, lambda _: None)
    assert (landed.folder, landed.file, landed.quant) == ("m-abc", "m-Q4_0.gguf", "Q4_0")
    assert store.landed(asked) == landed
    assert store.landed(replace(asked, id="2" * 32)) is None
    manifest = store.manifest("m-abc")
    assert manifest
    assert (manifest.repo, manifest.revision) == ("owner/m", "abc")


@pytest.mark.usefixtures("echo")
def test_the_same_files_twice_are_there_once(store: Store, tmp_path: Path) -> None:
    first = bring(store, gguf(tmp_path / "m.gguf"))
    again = bring(store, tmp_path / "m.gguf", 2)
    assert again.folder == first.folder
    assert len(store.folders()) == 1
    other = bring(store, gguf(tmp_path / "m.gguf", "Another"), 3)
    assert other.folder != first.folder


@pytest.mark.usefixtures("echo")
def test_other_files_do_not_take_a_place(store: Store) -> None:
    asked = errand("download", folder="m")
    store.land(arrive(store, build()), asked, lambda _: None)
    folder = arrive(store, build() + bytes(32), 2)
    with pytest.raises(LibraryError) as caught:
        store.land(folder, errand("download", 2, folder="m"), lambda _: None)
    assert caught.value.kind == "exists"


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize("known", [FileRef("m-Q4_0.gguf", 5), FileRef("m-Q4_0.gguf", 0, "0" * 64)])
def test_bytes_that_are_others_are_refused(store: Store, known: FileRef) -> None:
    with pytest.raises(LibraryError) as caught:
        store.land(arrive(store, build()), errand("download", files=(known,)), lambda _: None)
    assert caught.value.to_dict() == {"kind": "wrong_hash", "file": "m-Q4_0.gguf"}
    assert reason(store)["kind"] == "wrong_hash"


@pytest.mark.usefixtures("echo")
def test_a_file_that_did_not_come_is_missed(store: Store) -> None:
    files = (FileRef("m-Q4_0.gguf"), FileRef("mmproj-m.gguf"))
    with pytest.raises(LibraryError) as caught:
        store.land(arrive(store, build()), errand("download", files=files), lambda _: None)
    assert caught.value.to_dict() == {"kind": "incomplete", "file": "mmproj-m.gguf"}


def test_a_good_header_over_nothing_is_set_aside(store: Store) -> None:
    """The header holds, and llama.cpp cannot do anything with the rest."""
    asked = errand("download", repo="owner/m", revision="abc")
    folder = arrive(store, build())
    with pytest.raises(LibraryError) as caught:
        store.land(folder, asked, lambda _: None)
    assert caught.value.kind in {"cannot_load", "crashed"}
    assert not folder.exists()
    told = reason(store)
    assert (told["kind"], told["from"], told["revision"]) == (caught.value.kind, "owner/m", "abc")
    assert told["text"]
    assert store.folders() == []


def test_what_was_set_aside_goes_after_a_week(store: Store, tmp_path: Path) -> None:
    folder = arrive(store, b"GGUF" + b"\xff" * 100)
    with pytest.raises(LibraryError):
        store.land(folder, errand("download"), lambda _: None)
    quarantine.sweep(store.root)
    place = store.root / quarantine.NAME
    assert len(list(place.iterdir())) == 2
    week = time.time() - quarantine.KEPT - 1
    os.utime(place / f"{1:032x}.json", (week, week))
    quarantine.sweep(store.root)
    assert not list(place.iterdir())


def test_a_refusal_that_is_not_the_files_fault_keeps_them(store: Store) -> None:
    folder = store.incoming("2" * 32)
    (folder / "a.gguf").write_bytes(build())
    (folder / "b.gguf").write_bytes(build())
    with pytest.raises(LibraryError) as caught:
        store.land(folder, errand("download", 2), lambda _: None)
    assert caught.value.kind == "several"
    assert (folder / "a.gguf").exists()


def test_space_is_looked_at(store: Store) -> None:
    store.check_space()
    with pytest.raises(LibraryError) as caught:
        store.check_space(1 << 60)
    assert caught.value.kind == "no_space"
    assert caught.value.facts["needed"] == 1 << 60
    assert 0 < caught.value.facts["free"] < 1 << 60


def test_several_remove_at_once(store: Store) -> None:
    names = [f"m{number}" for number in range(40)]
    for name in names:
        (store.root / name).mkdir(parents=True)
        (store.root / name / "m.gguf").write_bytes(b"GGUF")
    # What a kill left of another.
    (store.root / ".removed" / "old").mkdir(parents=True)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(store.remove, names)) == [4] * 40
    assert store.folders() == []
    assert list((store.root / ".removed").iterdir()) == []
    assert store.remove("m1") == 0


def test_names_of_folders() -> None:
    files = (FileRef("a", 1, "1" * 64),)
    assert folder_name("Qwen3 (4B)-Q4_K_M.gguf", files).startswith("qwen3-4b-q4_k_m-")
    assert folder_name("模型.gguf", files) == folder_name(".gguf", files)[-12:]
    assert folder_name("a.gguf", files) != folder_name("a.gguf", (FileRef("a", 1, "2" * 64),))
    Store(Path("/nowhere")).path(folder_name("x" * 500 + ".gguf", files), "x.gguf")


@pytest.mark.parametrize(
    "place", ["../secret", "m/../../secret", "/etc/passwd", "m", "m/", ".incoming/1/m.gguf", "m/\0"]
)
def test_r6_a_source_leads_nowhere_else(
    store: Store, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (store.root / "m").mkdir(parents=True)
    (store.data_dir / "secret").write_text("secret")
    monkeypatch.setenv("CHATSITE_DATA_DIR", str(store.data_dir))
    with pytest.raises(LoadError):
        locate({"store": place})


def test_refusals_leave_others_alone(store: Store, tmp_path: Path) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + b"\xff" * 100)
    error = refused(store, bad)
    assert error.kind == "bad_header"
    assert error.facts["why"]
    # It was looked at where it lies, and not copied at all.
    assert bad.exists()


@pytest.mark.usefixtures("echo")
def test_a_crash_of_the_fast_kernels_is_no_refusal_and_is_remembered(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the engine does without them from its first load on."""
    monkeypatch.setenv("CHATSITE_ENGINES", "llamacpp=tests.running.engines:CrashingEngine")
    folder = arrive(store, build())
    landed = store.land(folder, errand("download", folder="slow-1"), lambda _: None)
    spec = ModelSpec("any", "llamacpp", {"store": f"slow-1/{landed.file}"})
    assert not Verdicts(store.data_dir / "engine" / "verdicts.json").about(spec).fast
    manifest = store.manifest("slow-1")
    assert manifest
    assert not manifest.fast


@pytest.mark.usefixtures("echo")
def test_a_manifest_that_came_along_is_not_ours(store: Store) -> None:
    """Or it is of a try that was killed before it had its name."""
    folder = arrive(store, build())
    (folder / "manifest.json").write_text("{")
    store.land(folder, errand("download", folder="one-1"), lambda _: None)
    assert store.manifest("one-1")
