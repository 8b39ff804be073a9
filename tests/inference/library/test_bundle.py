"""A model as one file on a stick: what one office writes, another reads, byte for byte; what
somebody has changed on the way is refused."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inference.engines.weights import locate
from inference.library import bundle, probe, works
from inference.library.nouns import Errand, Landed, LibraryError
from inference.library.store import Store
from tests.inference.ggufs import build
from tests.inference.library.test_r5_border import ECHO
from tests.inference.weights import SOURCE

ABOUT = {
    "name": "smol",
    "title": "Small and quick",
    "description": "For short questions. 简短的问题。",
    "licence": "apache-2.0",
    "repo": "owner/smol-GGUF",
    "revision": "abc",
    "settings": {"context_length": 2048},
    "defaults": {"temperature": 0.2},
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "one")


@pytest.fixture
def other(tmp_path: Path) -> Store:
    return Store(tmp_path / "two")


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


@pytest.fixture
def easy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that is no whole model is tried by an engine that takes anything."""
    monkeypatch.setenv("CHATSITE_ENGINES", f"llamacpp={ECHO}")
    monkeypatch.setattr(probe, "KEPT", (*probe.KEPT, "CHATSITE_ENGINES"))


@pytest.fixture
def small(store: Store, easy: None) -> Landed:
    errand = Errand(uuid.uuid4().hex, "import")
    (store.incoming(errand.id) / "m.gguf").write_bytes(build())
    (store.incoming(errand.id) / "README.md").write_text("Hello")
    return store.land(store.incoming(errand.id), errand, quiet)


def quiet(news: dict[str, Any]) -> None:
    assert news["phase"]


def export(store: Store, landed: Landed, path: Path | str, **about: Any) -> dict[str, Any]:
    told = ABOUT | about
    errand = Errand(uuid.uuid4().hex, "export", folder=landed.folder, path=str(path), about=told)
    return works.run(errand, store, quiet)


def take(store: Store, path: Path) -> Landed:
    return Landed.from_dict(
        works.run(Errand(uuid.uuid4().hex, "import", path=str(path)), store, quiet)
    )


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(LibraryError) as error:
        work()
    return error.value.kind


def test_it_works(store: Store, other: Store, stick: Path) -> None:
    """Real weights, there and back."""
    landed = take(store, locate(SOURCE))
    path = stick / "smol.tar"
    assert export(store, landed, path) == {"path": str(path), "size": path.stat().st_size}
    assert [each.name for each in stick.iterdir()] == ["smol.tar"]
    with tarfile.open(path) as tar:
        first = tar.next()
        assert first
        file = tar.extractfile(first)
        assert file
        manifest = json.load(file)
    assert first.name == "manifest.json"
    assert manifest["files"][0]["sha256"] == landed.files[0].sha256
    assert "<|im_start|>" in manifest["template"]
    again = take(other, path)
    assert again.about == ABOUT
    assert (again.licence, again.files) == ("apache-2.0", landed.files)
    assert other.path(again.folder, again.file).read_bytes() == locate(SOURCE).read_bytes()
    known = other.manifest(again.folder)
    assert known
    assert (known.repo, known.revision) == ("owner/smol-GGUF", "abc")


def test_other_tools_read_it_and_what_they_write_is_read(
    store: Store, other: Store, small: Landed, stick: Path
) -> None:
    export(store, small, stick / "m.tar")
    unpacked = stick / "unpacked"
    with tarfile.open(stick / "m.tar") as tar:
        tar.extractall(unpacked, filter="data")
    assert (unpacked / "files" / "m.gguf").read_bytes() == build()
    with tarfile.open(stick / "again.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for name in ("manifest.json", "files"):
            tar.add(unpacked / name, name)
    assert take(other, stick / "again.tar").files == small.files


def test_into_a_folder_it_is_called_as_the_model(store: Store, small: Landed, stick: Path) -> None:
    told = export(store, small, stick, name="smol/../4: 中文")
    assert Path(told["path"]).parent == stick
    assert Path(told["path"]).name == "smol-..-4.tar"


def test_what_was_cut_off_is_gone_on_with(store: Store, small: Landed, stick: Path) -> None:
    export(store, small, stick / "m.tar")
    whole = (stick / "m.tar").read_bytes()
    for held in (0, 10, 512, len(whole) - 1200, len(whole)):
        (stick / "m.tar").unlink()
        (stick / "m.tar.part").write_bytes(whole[:held])
        told: list[dict[str, Any]] = []
        path = str(stick / "m.tar")
        errand = Errand(uuid.uuid4().hex, "export", folder=small.folder, path=path, about=ABOUT)
        works.run(errand, store, told.append)
        assert (stick / "m.tar").read_bytes() == whole
        assert told[0]["done"] == held
    # Another bundle's beginning is written over; what is none stays.
    (stick / "n.tar.part").write_bytes(whole[:-100])
    export(store, small, stick / "n.tar", title="Another")
    assert bundle.read(stick / "n.tar")[0]["title"] == "Another"
    (stick / "o.tar.part").write_bytes(b"a diary" * 1000)
    assert refused(lambda: export(store, small, stick / "o.tar")) == "exists"
    assert (stick / "o.tar.part").read_bytes() == b"a diary" * 1000


def test_nothing_is_written_over(store: Store, small: Landed, stick: Path) -> None:
    (stick / "m.tar").write_text("a diary")
    assert refused(lambda: export(store, small, stick / "m.tar")) == "exists"
    assert (stick / "m.tar").read_text() == "a diary"
    (stick / "l.tar").symlink_to(stick / "nothing")
    assert refused(lambda: export(store, small, stick / "l.tar")) == "exists"
    # But the same one is there already: its process died before it said so.
    export(store, small, stick / "n.tar")
    assert export(store, small, stick / "n.tar")["path"] == str(stick / "n.tar")


def test_where_nothing_can_be_written(store: Store, small: Landed, stick: Path) -> None:
    assert refused(lambda: export(store, small, "/nowhere/at/all.tar")) == "not_writable"
    assert refused(lambda: export(store, small, "stick.tar")) == "bad_path"
    assert refused(lambda: export(store, small, store.root / "m.tar")) == "bad_path"
    gone = Landed("gone-1", "m.gguf", "llamacpp", ())
    assert refused(lambda: export(store, gone, stick / "m.tar")) == "no_file"


def test_a_full_stick(
    store: Store, small: Landed, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(stick)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
    assert refused(lambda: export(store, small, stick / "m.tar")) == "no_space"


def test_a_file_that_the_disk_has_changed_is_not_passed_on(
    store: Store, small: Landed, stick: Path
) -> None:
    path = store.path(small.folder, "m.gguf")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert refused(lambda: export(store, small, stick / "m.tar")) == "disk_error"
    assert not (stick / "m.tar").exists()


def test_each_damaged_byte_is_found(store: Store, other: Store, small: Landed, stick: Path) -> None:
    """Of the weights and of what stands about them."""
    export(store, small, stick / "m.tar")
    whole = (stick / "m.tar").read_bytes()
    at = whole.index(build())
    bad = stick / "bad.tar"
    # Of both entries, of a name in the manifest, of the header, of the weights.
    for place in (0, 300, whole.index(b"m.gguf"), at - 500, at + 40, at + 1200):
        bad.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert refused(lambda: take(other, bad)) in {"bad_bundle", "refused_file"}, place
    for length in (700, at - 100, at + 100):
        bad.write_bytes(whole[:length])
        assert refused(lambda: take(other, bad)) == "bad_bundle"
    assert other.folders() == []


def written(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for entry, data in entries:
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def manifest(*names: str, **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    files = [{"path": name, "size": 1, "sha256": "0" * 64} for name in names]
    told = {"bundle": "chatsite-model", "version": 1, "files": files} | more
    digest = more.get("sha256") or bundle._digest(told)
    return entry("manifest.json"), json.dumps(told | {"sha256": digest}).encode()


@pytest.mark.parametrize(
    "name",
    ["../m.gguf", "files/../../m.gguf", "/etc/m.gguf", "files/a\\..\\m.gguf", "files/.ssh/m.gguf",
     "files/" + "a/" * 800 + "m.gguf"],
)  # fmt: skip
def test_r6_zip_slip(other: Store, stick: Path, name: str) -> None:
    listed = manifest(name.removeprefix("files/"))
    path = written(stick / "bad.tar", listed, (entry(name), b"x"))
    assert refused(lambda: take(other, path)) == "refused_file"
    assert [each.name for each in stick.iterdir()] == ["bad.tar"]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, b"x", b"S"]
)
def test_r6_only_files_are_in_a_bundle(other: Store, stick: Path, kind: bytes) -> None:
    odd = entry("files/m.gguf", kind, "/etc/passwd")
    path = written(stick / "bad.tar", manifest("m.gguf"), (odd, b""))
    assert refused(lambda: take(other, path)) in {"refused_file", "bad_bundle"}


def test_r5_code_comes_in_no_bundle_either(other: Store, stick: Path) -> None:
    path = written(stick / "bad.tar", manifest("run.py"), (entry("files/run.py"), b"x"))
    assert refused(lambda: take(other, path)) == "refused_file"


def test_a_manifest_that_lies(other: Store, stick: Path) -> None:
    data = (entry("files/m.gguf"), b"x")
    twice = (entry("m.gguf"), b"x")
    lies = {
        "no manifest": (data,),
        "another format": (manifest("m.gguf", bundle="another"), data),
        "a later version": (manifest("m.gguf", version=2), data),
        "words that were changed": (manifest("m.gguf", title="x", sha256="0" * 64), data),
        "no files": (manifest("m.gguf", files=None), data),
        "files that are none": (manifest("m.gguf", files=[1]), data),
        "a file that is not there": (manifest("m.gguf", "n.gguf"), data),
        "a file that is not listed": (manifest(), data),
        "a file twice": (manifest("m.gguf"), data, twice),
        "sizes without end": (
            manifest(files=[{"path": "m.gguf", "size": float("inf"), "sha256": "0" * 64}]),
            data,
        ),
        "a name that is none": (
            manifest(files=[{"path": ["m.gguf"], "size": 1, "sha256": "0" * 64}]),
            data,
        ),
        "no hash": (manifest(files=[{"path": "m.gguf", "size": 1}]), data),
        "another size": (manifest(files=[{"path": "m.gguf", "size": 2, "sha256": "0" * 64}]), data),
        "another hash": (manifest("m.gguf"), data),
        "nesting": ((entry("manifest.json"), b"[" * 100_000), data),
    }
    for what, entries in lies.items():
        path = written(stick / "bad.tar", *entries)
        assert refused(lambda: take(other, path)) == "bad_bundle", what  # noqa: B023
    assert other.folders() == []


def test_a_header_that_asks_for_memory(other: Store, stick: Path) -> None:
    """A sparse file whose entries say that they are a terabyte long."""
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE):
        long = entry("x", kind)
        long.size = 1 << 40
        path = stick / "bad.tar"
        with path.open("wb") as file:
            file.write(long.tobuf(tarfile.GNU_FORMAT))
            file.truncate((1 << 40) + 512)
        assert refused(lambda: take(other, path)) in {"bad_bundle", "refused_file"}  # noqa: B023
        os.truncate(path, 0)
