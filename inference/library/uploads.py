"""Files that a browser sends in pieces, until they are whole. It knows no engine and judges
nothing: the import does."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference import places
from inference.library.nouns import LibraryError

FOLDER, NOTE, DATA = ".uploads", "upload.json", "data.part"
ID = re.compile(r"[0-9a-f]{32}")
ENDINGS = (".gguf", ".tar")
# What one request may carry; how long one that nobody goes on with is kept; bytes of the disk that
# are left to everything else.
PIECE, KEPT, RESERVE = 8 << 20, 3 * 86_400, 512 << 20
MOST = 16 << 40


@dataclass(frozen=True, slots=True)
class Upload:
    """`offset`: how many of its `size` bytes are there, in order."""

    id: str
    name: str
    size: int
    offset: int


def begin(data_dir: Path, name: str, size: int) -> Upload:
    """A new one. LibraryError refused_file, no_space."""
    sweep(data_dir)
    name = name.replace("\\", "/").rpartition("/")[2].strip()
    if not places.is_plain(name) or not name.lower().endswith(ENDINGS) or not 0 < size <= MOST:
        raise LibraryError("refused_file", file=name[:200])
    root = _root(data_dir)
    root.mkdir(parents=True, exist_ok=True)
    free = max(0, shutil.disk_usage(root).free - RESERVE)
    if size > free:
        raise LibraryError("no_space", needed=size, free=free)
    upload = Upload(uuid.uuid4().hex, name, size, 0)
    folder = root / upload.id
    folder.mkdir()
    (folder / DATA).touch()
    note = {"name": name, "size": size}
    (folder / NOTE).write_text(json.dumps(note), encoding="utf-8")
    return upload


def find(data_dir: Path, id: str) -> Upload | None:
    """How far it is; None where there is none."""
    if not ID.fullmatch(id):
        return None
    folder = _root(data_dir) / id
    try:
        note: dict[str, Any] = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        data = folder / DATA
        if not data.exists():
            data = folder / str(note["name"])
        return Upload(id, str(note["name"]), int(note["size"]), data.stat().st_size)
    except (OSError, ValueError, KeyError):
        return None


def append(data_dir: Path, id: str, offset: int, data: bytes) -> Upload:
    """Put a piece where the last one ended. LibraryError `missing`, `no_space`, or `wrong_offset`
    with the `offset` that is right."""
    upload = _found(data_dir, id)
    path = _root(data_dir) / id / DATA
    try:
        with _alone(path) as file:
            at = os.fstat(file).st_size
            if offset != at or at + len(data) > upload.size:
                raise LibraryError("wrong_offset", offset=at)
            os.lseek(file, at, os.SEEK_SET)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(file, rest) :]
    except FileNotFoundError:
        raise LibraryError("wrong_offset", offset=upload.offset) from None
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        free = shutil.disk_usage(path.parent).free
        raise LibraryError("no_space", needed=upload.size - offset, free=free) from None
    return _found(data_dir, id)


def finish(data_dir: Path, id: str) -> Path:
    """The whole file, on the disk for good; the same again when it is asked twice. LibraryError
    `missing`, or `incomplete` with the `offset` from which bytes are missing."""
    upload = _found(data_dir, id)
    folder = _root(data_dir) / id
    path, part = folder / upload.name, folder / DATA
    if upload.offset != upload.size:
        raise LibraryError("incomplete", offset=upload.offset)
    if part.exists():
        with _alone(part) as file:
            os.fsync(file)
        part.rename(path)
    return path


def abandon(data_dir: Path, id: str) -> None:
    """Throw it away, however far it is."""
    if ID.fullmatch(id):
        shutil.rmtree(_root(data_dir) / id, ignore_errors=True)


def of_path(data_dir: Path, path: str) -> str:
    """Which upload a path is of, "" where of none."""
    given = Path(path)
    if given.parent.parent != _root(data_dir) or not ID.fullmatch(given.parent.name):
        return ""
    return given.parent.name


def sweep(data_dir: Path, kept: float = KEPT) -> None:
    """Those that nobody has gone on with for days."""
    root, old = _root(data_dir), time.time() - kept
    for folder in root.iterdir() if root.is_dir() else ():
        try:
            latest = max(each.stat().st_mtime for each in (folder, *folder.iterdir()))
        except OSError:
            continue
        if latest < old:
            abandon(data_dir, folder.name)


def _root(data_dir: Path) -> Path:
    return data_dir.resolve() / places.STORE / FOLDER


def _found(data_dir: Path, id: str) -> Upload:
    upload = find(data_dir, id)
    if upload is None:
        raise LibraryError("missing", what="upload")
    return upload


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[int]:
    """Two tabs that send the same file do so one after the other."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)
