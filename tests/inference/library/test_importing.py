"""Models from a path of this machine: a file, parts, a folder, an upload. What was copied before a
kill is gone on from; what may not come stays where it is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from inference.engines.weights import locate
from inference.library import part, probe, uploads, works
from inference.library.nouns import Errand, Landed, LibraryError
from inference.library.store import Store
from tests.inference.ggufs import build
from tests.inference.library.test_r5_border import CONFIG, ECHO, GOOD, pack
from tests.inference.weights import SOURCE
from tests.live import ROOT

WEIGHTS = locate(SOURCE)
SIZE = WEIGHTS.stat().st_size


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


@pytest.fixture
def easy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files that are no whole models are tried by an engine that takes anything."""
    monkeypatch.setenv("CHATSITE_ENGINES", f"llamacpp={ECHO},vllm={ECHO}")
    monkeypatch.setattr(probe, "KEPT", (*probe.KEPT, "CHATSITE_ENGINES"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


def quiet(news: dict[str, Any]) -> None:
    assert news["phase"]


def errand(path: Path | str, **more: Any) -> Errand:
    return Errand(uuid.uuid4().hex, "import", path=str(path), **more)


def take(store: Store, path: Path | str, **more: Any) -> Landed:
    return Landed.from_dict(works.run(errand(path, **more), store, quiet))


def refused(store: Store, path: Path | str) -> str:
    with pytest.raises(LibraryError) as error:
        take(store, path)
    return error.value.kind


def test_it_works(store: Store) -> None:
    told: list[dict[str, Any]] = []
    landed = Landed.from_dict(works.run(errand(WEIGHTS), store, told.append))
    kept = store.path(landed.folder, landed.file)
    assert kept.read_bytes() == WEIGHTS.read_bytes()
    assert not kept.samefile(WEIGHTS)
    assert landed.engine == "llamacpp"
    copying = [each["done"] for each in told if each["phase"] == "copying"]
    assert copying == sorted(copying)
    assert copying[0] == 0
    assert {each["total"] for each in told if each["phase"] == "copying"} == {SIZE}


@pytest.mark.usefixtures("easy")
def test_all_parts_come_whichever_is_named(store: Store, place: Path) -> None:
    for number in (1, 2, 3):
        (place / f"m-0000{number}-of-00003.gguf").write_bytes(build())
    (place / "other.gguf").write_bytes(build())
    landed = take(store, place / "m-00002-of-00003.gguf")
    assert landed.file == "m-00001-of-00003.gguf"
    assert [each.path[:7] for each in landed.files] == ["m-00001", "m-00002", "m-00003"]
    (place / "m-00003-of-00003.gguf").unlink()
    assert refused(store, place / "m-00001-of-00003.gguf") == "incomplete"


@pytest.mark.usefixtures("easy")
def test_of_a_folder_comes_what_belongs_to_the_model(store: Store, place: Path) -> None:
    (place / "model.safetensors").write_bytes(pack(GOOD))
    (place / "config.json").write_text(json.dumps(CONFIG))
    for left in ("modeling_x.py", "pytorch_model.bin", "run.sh", ".gitattributes"):
        (place / left).write_bytes(b"import os")
    (place / ".git").mkdir()
    (place / ".git" / "config").write_text("no")
    landed = take(store, place)
    assert (landed.engine, landed.file, landed.format) == ("vllm", "config.json", "safetensors")
    folder = store.path(landed.folder)
    kept = {"model.safetensors", "config.json", "manifest.json"}
    assert {each.name for each in folder.iterdir()} == kept


def test_safetensors_are_loaded_by_nobody_before_they_land(store: Store, place: Path) -> None:
    """Their engine may be on another machine; what they say of themselves is doubted here."""
    (place / "model.safetensors").write_bytes(pack(GOOD))
    (place / "config.json").write_text(json.dumps(CONFIG))
    landed = take(store, place)
    manifest = store.manifest(landed.folder)
    assert (landed.engine, landed.format) == ("vllm", "safetensors")
    assert manifest
    assert (manifest.fast, manifest.defences) == (True, ())


@pytest.mark.usefixtures("easy")
def test_what_cannot_be_taken(store: Store, place: Path) -> None:
    (place / "notes.txt").write_text("Hello")
    (place / "bad.gguf").write_bytes(build()[:-400])
    (place / "model.safetensors").write_bytes(pack(GOOD))
    (place / "model.bin").write_bytes(b"\x80\x04.")
    os.mkfifo(place / "pipe.gguf")
    assert refused(store, place / "gone.gguf") == "no_file"
    assert refused(store, place / "notes.txt") == "refused_file"
    assert refused(store, place / "model.bin") == "refused_file"
    assert refused(store, place / "bad.gguf") == "bad_header"
    assert refused(store, place / "model.safetensors") == "incomplete"
    assert refused(store, place / "pipe.gguf") == "refused_file"
    assert refused(store, "/dev/zero") == "refused_file"
    assert refused(store, "stick/bad.gguf") == "bad_path"
    assert refused(store, "/a\0b.gguf") == "bad_path"
    for number in (1, 2):
        (place / f"{number}").mkdir()
        (place / f"{number}" / "m.gguf").write_bytes(build())
    (place / "bad.gguf").unlink()
    (place / "pipe.gguf").unlink()
    (place / "model.safetensors").unlink()
    assert refused(store, place) == "several"
    # Nothing of all that was copied, and everything is where it was.
    assert store.folders() == []
    assert (place / "1" / "m.gguf").exists()


@pytest.mark.usefixtures("easy")
def test_r6_a_link_in_a_folder_is_not_followed(store: Store, place: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.gguf"
    secret.write_bytes(build())
    (place / "m-00001-of-00002.gguf").write_bytes(build())
    (place / "m-00002-of-00002.gguf").symlink_to(secret)
    assert refused(store, place / "m-00001-of-00002.gguf") == "refused_file"
    assert refused(store, place) == "refused_file"


@pytest.mark.usefixtures("easy")
def test_a_link_instead_of_a_copy_where_that_was_asked_for(store: Store, place: Path) -> None:
    path = place / "m.gguf"
    path.write_bytes(build())
    landed = take(store, path, about={"link": True})
    assert store.path(landed.folder, "m.gguf").samefile(path)


KILLED = """
import json, sys
from inference.library import importing, part, works
from inference.library.nouns import Errand
from inference.library.store import Store
from pathlib import Path
importing.BLOCK = 1 << 18
def tell(news):
    print(json.dumps(news), flush=True)
put = part.Part.write
def slow(self, data):
    import time
    time.sleep(0.005)
    return put(self, data)
part.Part.write = slow
works.run(Errand.from_json(sys.argv[1]), Store(Path(sys.argv[2])), tell)
"""


def test_a_copy_that_was_killed_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one whose source is another file by now begins anew."""
    one = errand(WEIGHTS)
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, one.to_json(), str(store.data_dir)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout
    for line in child.stdout:
        if json.loads(line)["done"] > SIZE // 4:
            break
    child.send_signal(signal.SIGKILL)
    child.communicate()
    half = store.incoming(one.id) / f"{WEIGHTS.name}.part"
    before = half.stat().st_size
    assert SIZE // 4 < before < SIZE
    written = 0
    put = part.Part.write

    def count(self: part.Part, data: bytes) -> int:
        nonlocal written
        written += len(data)
        return put(self, data)

    monkeypatch.setattr(part.Part, "write", count)
    told: list[dict[str, Any]] = []
    landed = Landed.from_dict(works.run(one, store, told.append))
    assert written == SIZE - before
    assert told[0]["done"] == before
    assert store.path(landed.folder, landed.file).read_bytes() == WEIGHTS.read_bytes()


@pytest.mark.usefixtures("easy")
def test_a_copy_of_what_has_changed_begins_anew(store: Store, place: Path) -> None:
    path = place / "m.gguf"
    path.write_bytes(build())
    one = errand(path)
    folder = store.incoming(one.id)
    (folder / ".source").write_text("[]")
    (folder / "m.gguf.part").write_bytes(b"another")
    landed = Landed.from_dict(works.run(one, store, quiet))
    assert store.path(landed.folder, "m.gguf").read_bytes() == build()


@pytest.mark.usefixtures("easy")
def test_no_space(store: Store, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "m.gguf").write_bytes(build())
    usage = shutil.disk_usage(place)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=(512 << 20) + 100))
    with pytest.raises(LibraryError) as error:
        take(store, place / "m.gguf")
    assert error.value.to_dict() == {"kind": "no_space", "needed": len(build()), "free": 100}


@pytest.mark.usefixtures("easy")
def test_an_upload_becomes_a_model_and_is_gone(store: Store) -> None:
    data, offset = build(), 0
    upload = uploads.begin(store.data_dir, "m.gguf", len(data))
    while offset < len(data):
        piece = data[offset : offset + 500]
        offset = uploads.append(store.data_dir, upload.id, offset, [piece]).offset
    path = uploads.finish(store.data_dir, upload.id)
    inode = path.stat().st_ino
    landed = take(store, path)
    # Not copied once more: it may be as large as the disk has space.
    assert store.path(landed.folder, "m.gguf").stat().st_ino == inode
    assert not path.parent.exists()


@pytest.mark.usefixtures("easy")
def test_an_upload_that_is_no_model_is_gone_as_well(store: Store) -> None:
    upload = uploads.begin(store.data_dir, "m.gguf", 4)
    uploads.append(store.data_dir, upload.id, 0, [b"GGUF"])
    path = uploads.finish(store.data_dir, upload.id)
    assert refused(store, path) == "bad_header"
    assert not path.parent.exists()


@pytest.mark.usefixtures("easy")
def test_an_errand_that_is_done_is_not_done_again(store: Store, place: Path) -> None:
    path = place / "m.gguf"
    path.write_bytes(build())
    one = errand(path)
    first = works.run(one, store, quiet)
    path.unlink()
    began = time.monotonic()
    assert works.run(one, store, quiet) == first
    assert time.monotonic() - began < 1
