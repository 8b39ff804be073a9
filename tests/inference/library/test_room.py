"""Two that come at once do not count on the same bytes of the disk; and what is cancelled leaves
nothing."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from inference.library import bundle, room, works
from inference.library.errands import discard
from inference.library.fetch import RESERVE
from inference.library.nouns import LibraryError
from inference.library.store import Store
from tests.inference.library.stores import bring, echo, errand, gguf, store

__all__ = ["echo", "store"]


class Work:
    """A process that does an errand: its lock and its folder."""

    def __init__(self, incoming: Path, id: str) -> None:
        self.folder = incoming / id
        self.folder.mkdir(parents=True)
        self.lock: IO[bytes] = (incoming / f"{id}.lock").open("ab")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def count(self, total: int) -> int:
        with room.counting(self.folder, total) as promised:
            return promised


@pytest.fixture
def begin(store: Store) -> Iterator[Callable[[str], Work]]:
    made: list[Work] = []

    def new(id: str) -> Work:
        made.append(Work(store.root / ".incoming", id))
        return made[-1]

    yield new
    for each in made:
        each.lock.close()


def test_it_works(begin: Callable[[str], Work]) -> None:
    one, two = begin("a"), begin("b")
    assert one.count(1000) == 0
    assert two.count(500) == 1000
    (one.folder / "sub").mkdir()
    (one.folder / "sub" / "x.gguf.part").write_bytes(bytes(400))
    assert two.count(500) == 600
    assert one.count(1000) == 500
    # Whose process is gone or waits brings nothing just now.
    one.lock.close()
    assert two.count(500) == 0


def test_who_does_not_fit_is_not_counted(begin: Callable[[str], Work]) -> None:
    one, two = begin("a"), begin("b")
    with pytest.raises(LibraryError), room.counting(one.folder, 1000):
        raise LibraryError("no_space")
    assert two.count(1) == 0


def test_an_import_leaves_room_for_another(
    store: Store,
    echo: None,
    begin: Callable[[str], Work],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = gguf(tmp_path / "small.gguf")
    size = path.stat().st_size
    usage = shutil.disk_usage(tmp_path)
    free = RESERVE + 2 * size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=free))
    other = begin("a")
    other.count(size + 1)
    with pytest.raises(LibraryError) as caught:
        bring(store, path)
    assert (caught.value.kind, caught.value.facts) == (
        "no_space",
        {"needed": size, "free": size - 1},
    )
    other.count(size)
    bring(store, path)


def test_a_cancelled_export_leaves_no_part(store: Store, echo: None, tmp_path: Path) -> None:
    landed = bring(store, gguf(tmp_path / "small.gguf"))
    stick = tmp_path / "stick"
    stick.mkdir()
    asked = errand("export", 2, folder=landed.folder, path=str(stick / "x.tar"), about={})
    works.run(asked, store, lambda _: None)
    incoming = store.root / ".incoming"
    assert not (incoming / asked.id).exists()
    # Killed in the middle: the note and a part of the bundle are there.
    whole = (stick / "x.tar").read_bytes()
    (stick / "x.tar").unlink()
    part = stick / "x.tar.part"
    part.write_bytes(whole[: len(whole) // 2])
    (store.incoming(asked.id) / bundle.NOTE).write_text(str(part))
    discard(incoming, asked.id)
    assert list(stick.iterdir()) == []
    assert not (incoming / asked.id).exists()


@pytest.mark.parametrize("kind", ["another", "link"])
def test_what_is_no_bundle_of_ours_stays(store: Store, tmp_path: Path, kind: str) -> None:
    precious, part = tmp_path / "precious", tmp_path / "x.tar.part"
    precious.write_text("manifest.json\0 is how it begins" if kind == "link" else "Do not touch.")
    if kind == "link":
        part.symlink_to(precious)
    else:
        precious.rename(part)
    id = "ab" * 16
    (store.incoming(id) / bundle.NOTE).write_text(str(part))
    discard(store.root / ".incoming", id)
    assert part.exists()
