"""Uploads in pieces: nothing is lost, doubled or put elsewhere."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from inference.library import uploads
from inference.library.nouns import LibraryError


def refused(kind: str) -> pytest.RaisesExc[LibraryError]:
    return pytest.RaisesExc(LibraryError, check=lambda error: error.kind == kind)


def test_it_works(tmp_path: Path) -> None:
    upload = uploads.begin(tmp_path, "model.gguf", 10)
    assert uploads.append(tmp_path, upload.id, 0, [b"abc", b"d"]).offset == 4
    # Another process, after a break.
    assert uploads.find(tmp_path, upload.id).offset == 4
    with pytest.raises(LibraryError):
        uploads.finish(tmp_path, upload.id)
    uploads.append(tmp_path, upload.id, 4, [b"efghij"])
    path = uploads.finish(tmp_path, upload.id)
    assert (path.name, path.read_bytes()) == ("model.gguf", b"abcdefghij")
    uploads.abandon(tmp_path, upload.id)
    assert not path.exists()
    with refused("no_upload"):
        uploads.find(tmp_path, upload.id)


def test_gaps_and_repeats_are_told_where_it_is(tmp_path: Path) -> None:
    upload = uploads.begin(tmp_path, "model.gguf", 10)
    uploads.append(tmp_path, upload.id, 0, [b"abcd"])
    for offset, piece in ((0, b"abcd"), (5, b"f"), (3, b"d"), (4, b"x" * 7)):
        with pytest.raises(LibraryError) as caught:
            uploads.append(tmp_path, upload.id, offset, [piece])
        assert caught.value.to_dict() == {"kind": "wrong_place", "offset": 4}
    assert upload.path.read_bytes() == b"abcd"


@pytest.mark.parametrize(
    "name", ["model.exe", "model", "", "model.gguf/x", "weights.bin", "a.pickle", ".gguf"]
)
def test_what_is_no_model_by_its_name(tmp_path: Path, name: str) -> None:
    with refused("refused_file"):
        uploads.begin(tmp_path, name, 10)


@pytest.mark.parametrize("name", ["../../x.gguf", "..\\x.gguf", "/etc/x.gguf", "a\0b.gguf"])
def test_r6_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    upload = uploads.begin(tmp_path, name, 10)
    assert upload.path.parent == uploads.root(tmp_path) / upload.id
    for id in ("..", "../" + upload.id, upload.id.upper() + "/", ""):
        with refused("no_upload"):
            uploads.find(tmp_path, id)


def test_more_than_the_disk_has(tmp_path: Path) -> None:
    with pytest.raises(LibraryError) as caught:
        uploads.begin(tmp_path, "model.gguf", 1 << 60)
    assert caught.value.kind == "no_space"
    assert caught.value.facts["needed"] == 1 << 60


def test_those_that_lie_about(tmp_path: Path) -> None:
    old, new = (uploads.begin(tmp_path, "model.gguf", 10) for _ in range(2))
    os.utime(old.path, (time.time() - 100,) * 2)
    assert [each.id for each in uploads.lying(tmp_path, 50)] == [old.id]
    assert {each.id for each in uploads.lying(tmp_path, -1)} == {old.id, new.id}
