"""Files that come in pieces from a browser, below the folder of models until they are imported. It
looks into none of them."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inference.library.nouns import LibraryError

SUFFIXES = (".gguf", ".safetensors", ".tar")
ID = re.compile(r"[0-9a-f]{32}")
UNWANTED = re.compile(r"[^A-Za-z0-9._-]+")
ABOUT = "about.json"
# Bytes that stay free on the disk, whatever comes.
SPARE = 1 << 30


@dataclass(frozen=True, slots=True)
class Upload:
    """`offset`: how many of its `size` bytes are there."""

    id: str
    path: Path
    size: int
    offset: int


def root(data_dir: Path) -> Path:
    return data_dir / "models" / ".uploads"


def begin(data_dir: Path, name: str, size: int) -> Upload:
    """LibraryError refused_file for what is no model by its name, no_space."""
    plain = spell(name)
    if not plain.endswith(SUFFIXES) or size <= 0:
        raise LibraryError("refused_file", file=name[:200])
    here = root(data_dir)
    here.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(here).free - SPARE
    if size > free:
        raise LibraryError("no_space", needed=size, free=max(free, 0))
    upload = Upload(uuid.uuid4().hex, here, size, 0)
    folder = here / upload.id
    folder.mkdir()
    (folder / ABOUT).write_text(json.dumps({"name": plain, "size": size}))
    (folder / plain).touch()
    return find(data_dir, upload.id)


def spell(name: str) -> str:
    """What is left of a file's name where no path can be made of it (R6)."""
    last = PurePosixPath(name.replace("\\", "/")).name
    stem, dot, suffix = UNWANTED.sub("-", last).strip("-._").rpartition(".")
    return f"{stem.strip('-._')[:100] or 'model'}{dot}{suffix.lower()[:20]}"


def find(data_dir: Path, id: str) -> Upload:
    """LibraryError no_upload where there is none."""
    folder = root(data_dir) / id
    try:
        if not ID.fullmatch(id):
            raise LibraryError("no_upload")
        about = json.loads((folder / ABOUT).read_text())
        path = folder / spell(about["name"])
        return Upload(id, path, int(about["size"]), path.stat().st_size)
    except (OSError, ValueError, KeyError) as error:
        raise LibraryError("no_upload", str(error)) from error


def append(data_dir: Path, id: str, offset: int, pieces: Iterable[bytes]) -> Upload:
    """What comes next. LibraryError wrong_place for a gap, for what is there already and for more
    than was said; no_space."""
    upload = find(data_dir, id)
    if offset != upload.offset:
        raise LibraryError("wrong_place", offset=upload.offset)
    left = upload.size - offset
    try:
        with upload.path.open("ab") as file:
            # Two tabs that send the same file do so one after the other.
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_size != offset:
                raise LibraryError("wrong_place", offset=os.fstat(file.fileno()).st_size)
            for piece in pieces:
                left -= len(piece)
                if left < 0:
                    file.truncate(offset)
                    raise LibraryError("wrong_place", offset=offset)
                file.write(piece)
    except OSError as error:
        free = shutil.disk_usage(upload.path.parent).free
        raise LibraryError("no_space", str(error), needed=left, free=free) from error
    return find(data_dir, id)


def finish(data_dir: Path, id: str) -> Path:
    """The whole file, kept by the disk. LibraryError wrong_place where some of it is missing."""
    upload = find(data_dir, id)
    if upload.offset != upload.size:
        raise LibraryError("wrong_place", offset=upload.offset)
    with upload.path.open("rb") as file:
        os.fsync(file.fileno())
    return upload.path


def of_path(data_dir: Path, path: str) -> str:
    """Which upload a path is of, "" where of none."""
    folder = Path(path).parent
    same = folder.parent.resolve() == root(data_dir).resolve()
    return folder.name if same and ID.fullmatch(folder.name) else ""


def abandon(data_dir: Path, id: str) -> None:
    if ID.fullmatch(id):
        shutil.rmtree(root(data_dir) / id, ignore_errors=True)


def lying(data_dir: Path, seconds: float) -> list[Upload]:
    """Those to which nothing has been added for so long."""
    here, found = root(data_dir), []
    for folder in here.iterdir() if here.is_dir() else ():
        try:
            upload = find(data_dir, folder.name)
            if upload.path.stat().st_mtime < time.time() - seconds:
                found.append(upload)
        except (LibraryError, OSError):
            continue
    return found
