"""A model as one file to carry: a plain tar, its manifest first, then the weights as they are. Read
strictly, since it may come from anybody (R6)."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from inference import gguf, places
from inference.library import border
from inference.library.meter import Meter, Tell
from inference.library.nouns import Errand, FileRef, Landed, LibraryError
from inference.library.store import MANIFEST, Store

FORMAT, VERSION = "chatsite-model", 1
# Within the tar, so that a model may have a manifest.json of its own.
FILES = "files/"
LARGEST_MANIFEST, LONGEST_NAME, MOST_MEMBERS = 16 << 20, 4096, 4 * border.MOST_FILES
RECORD, BLOCK = 512, 4 << 20
END = bytes(2 * RECORD)
# In the folder of an export: the path of what it writes.
NOTE = ".part"
# What a stranger's bytes may lead to, read as what they say they are.
DAMAGED = (
    ValueError, LookupError, TypeError, OverflowError, RecursionError, tarfile.TarError,
)  # fmt: skip
UNWANTED = re.compile(r"[^A-Za-z0-9._]+")


@dataclass(frozen=True, slots=True)
class Piece:
    """A file to be and where its bytes are: `size` of them from `offset` on in `source`."""

    path: str
    source: Path
    offset: int
    size: int
    sha256: str = ""


def export(errand: Errand, store: Store, report: Tell) -> dict[str, Any]:
    """Write the bundle of a folder to a path; what an earlier try has written is gone on from."""
    known = store.manifest(errand.folder)
    if known is None:
        raise LibraryError("no_file", path=errand.folder)
    target = _target(errand, store)
    head = _head(known.landed, errand.about, store)
    chunks = Chunks(head, errand.folder, known.landed, store)
    if _is_whole(target, head, chunks.size):
        return {"path": str(target), "size": chunks.size}
    if os.path.lexists(target):
        raise LibraryError("exists", path=str(target))
    part = target.with_name(target.name + ".part")
    desk = store.incoming(errand.id)
    # Where whoever cancels this finds it.
    (desk / NOTE).write_text(str(part), encoding="utf-8")
    try:
        _write(part, chunks, head, Meter(report, chunks.size))
        part.rename(target)
    except OSError as error:
        raise _explain(error, target) from error
    shutil.rmtree(desk, ignore_errors=True)
    return {"path": str(target), "size": chunks.size}


def abandon(desk: Path) -> None:
    """Throw away what an export has written so far; what is no bundle's stays as it is."""
    try:
        part = Path((desk / NOTE).read_text(encoding="utf-8"))
        with os.fdopen(os.open(part, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW), "rb") as file:
            ours = file.read(len(MANIFEST) + 1) in {b"", MANIFEST.encode() + b"\0"}
        if ours:
            part.unlink()
    except (OSError, ValueError):
        return


def _target(errand: Errand, store: Store) -> Path:
    """The file to be; in a folder it is called as the model is."""
    if not errand.path.startswith("/") or "\0" in errand.path:
        raise LibraryError("bad_path", path=errand.path[:200])
    target = Path(errand.path)
    try:
        if target.is_dir():
            name = UNWANTED.sub("-", str(errand.about.get("name") or "")).strip("-._")
            target = target / f"{name[:100] or errand.folder}.tar"
        folder = target.parent.resolve(strict=True)
    except OSError as error:
        raise _explain(error, target) from error
    # A bundle in the store would be a model's file.
    if folder.is_relative_to(store.root.resolve()):
        raise LibraryError("bad_path", path=str(target)[:200])
    return folder / target.name


def _head(landed: Landed, about: dict[str, Any], store: Store) -> bytes:
    """The manifest with its own entry. The same model and words give the same bytes."""
    told = {
        "bundle": FORMAT,
        "version": VERSION,
        **{key: value for key, value in asdict(landed).items() if key not in {"folder", "about"}},
        "template": _template(store.path(landed.folder, landed.file)),
        "about": about,
    }
    data = _spell({**told, "sha256": _digest(told)})
    return _entry(MANIFEST, len(data)) + data + bytes(-len(data) % RECORD)


def _spell(told: dict[str, Any]) -> bytes:
    return json.dumps(told, ensure_ascii=False, indent=1, sort_keys=True).encode()


def _digest(told: dict[str, Any]) -> str:
    """Of all else in the manifest: words may be damaged as well as weights."""
    rest = {key: value for key, value in told.items() if key != "sha256"}
    return hashlib.sha256(_spell(rest)).hexdigest()


def _template(path: Path) -> str:
    """For people to read; the engine reads it from the files."""
    return gguf.read(path).chat_template if path.suffix.lower() == border.GGUF else ""


def _entry(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


class Chunks:
    """The bytes of a bundle in their order; each file is compared with its hash on the way."""

    def __init__(self, head: bytes, folder: str, landed: Landed, store: Store) -> None:
        self._head = head
        self._files = [(ref, store.path(folder, ref.path)) for ref in landed.files]
        self._entries = [_entry(FILES + ref.path, ref.size) for ref, _ in self._files]
        data = sum(-(-ref.size // RECORD) * RECORD for ref, _ in self._files)
        self.size = len(head) + sum(map(len, self._entries)) + data + len(END)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        yield MANIFEST, self._head
        for entry, (ref, path) in zip(self._entries, self._files, strict=True):
            yield ref.path, entry
            yield from ((ref.path, data) for data in _checked(ref, path))
        yield "", END


def _checked(ref: FileRef, path: Path) -> Iterator[bytes]:
    found, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while data := file.read(BLOCK):
            found.update(data)
            size += len(data)
            yield data
    if size != ref.size or found.hexdigest() != ref.sha256:
        raise LibraryError("disk_error", f"{ref.path} is not what it was.", file=ref.path)
    yield bytes(-size % RECORD)


def _write(part: Path, chunks: Chunks, head: bytes, meter: Meter) -> None:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(part, flags, 0o644), "r+b", buffering=0) as file:
        at = _held(file, head, part)
        free = shutil.disk_usage(part.parent).free
        if chunks.size - at > free:
            raise LibraryError("no_space", needed=chunks.size - at, free=free)
        file.seek(at)
        meter.done, position = at, 0
        for name, data in chunks:
            new = memoryview(data)[max(0, at - position) :]
            position += len(data)
            meter.enter("copying", name)
            while new:
                written = file.write(new) or 0
                meter.add(written)
                new = new[written:]
        os.fsync(file.fileno())


def _held(file: Any, head: bytes, part: Path) -> int:
    """Bytes of this very bundle that are there. Another one's are written over, and whatever is no
    bundle's stays as it is."""
    size = os.fstat(file.fileno()).st_size
    begin = file.read(len(head)) if size else b""
    if begin == head[: len(begin)]:
        return size
    if not begin.startswith(MANIFEST.encode() + b"\0"):
        raise LibraryError("exists", path=str(part))
    file.truncate(0)
    return 0


def _is_whole(target: Path, head: bytes, size: int) -> bool:
    """Whether it was written before, by a process that ended before it said so."""
    if target.is_symlink() or not target.is_file() or target.stat().st_size != size:
        return False
    with target.open("rb") as file:
        return file.read(len(head)) == head


def _explain(error: OSError, path: Path) -> LibraryError:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return LibraryError("no_space", str(error))
    kind = "disk_error" if error.errno == errno.EIO else "not_writable"
    return LibraryError(kind, str(error), path=str(path)[:200])


def is_one(path: Path) -> bool:
    """Whether it begins as a tar does."""
    with path.open("rb") as file:
        return file.read(RECORD)[257:262] == b"ustar"


def read(path: Path) -> tuple[dict[str, Any], list[Piece]]:
    """What a bundle says of its model, and its files, the engine's first. Nothing is unpacked.
    LibraryError bad_bundle, or refused_file for an entry that may not be in one."""
    try:
        with path.open("rb") as file:
            members = _members(file, path)
            first = next(members, None)
            if first is None or first.path != MANIFEST or first.size > LARGEST_MANIFEST:
                raise LibraryError("bad_bundle", "It does not begin with a manifest.")
            told = _manifest(file, first)
            rest = list(members)
        return _about(told), _matched(told, rest)
    except DAMAGED as error:
        raise LibraryError("bad_bundle", str(error)[:200]) from None


def _members(file: BinaryIO, path: Path) -> Iterator[Piece]:
    """The entries, one header of 512 bytes after the other: no memory that a header asks for."""
    size, at, name = os.fstat(file.fileno()).st_size, 0, ""
    for _ in range(MOST_MEMBERS):
        file.seek(at)
        record = file.read(RECORD)
        if not record.strip(b"\0"):
            return
        entry = tarfile.TarInfo.frombuf(record, "utf-8", "strict")
        start, at = at + RECORD, at + RECORD + -(-entry.size // RECORD) * RECORD
        if entry.size < 0 or start + entry.size > size:
            raise LibraryError("bad_bundle", "It ends within a file.")
        if entry.type == tarfile.GNUTYPE_LONGNAME:
            if entry.size > LONGEST_NAME:
                raise LibraryError("bad_bundle", "A name is too long.")
            name = file.read(entry.size).rstrip(b"\0").decode()
            continue
        called, name = name or entry.name, ""
        if entry.type == tarfile.DIRTYPE:
            continue
        if entry.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or not places.is_plain(called):
            raise LibraryError("refused_file", file=called[:200])
        yield Piece(called, path, start, entry.size)
    raise LibraryError("bad_bundle", "It has too many entries.")


def _manifest(file: BinaryIO, first: Piece) -> dict[str, Any]:
    file.seek(first.offset)
    told = json.loads(file.read(first.size))
    if not isinstance(told, dict) or told.get("bundle") != FORMAT or told.get("version") != VERSION:
        raise LibraryError("bad_bundle", "It is of a kind that is not known here.")
    if told.get("sha256") != _digest(told):
        raise LibraryError("bad_bundle", "Its manifest is damaged.")
    return told


def _about(told: dict[str, Any]) -> dict[str, Any]:
    about = told.get("about")
    about = dict(about) if isinstance(about, dict) else {}
    licence = told.get("licence")
    if isinstance(licence, str) and licence:
        about.setdefault("licence", licence)
    return about


def _matched(told: dict[str, Any], pieces: list[Piece]) -> list[Piece]:
    """The manifest's files, each there once and as long as it says; nothing else is there."""
    found = {each.path.removeprefix(FILES): each for each in pieces}
    listed = [_ref(each) for each in told["files"]]
    names = [ref.path for ref in listed]
    if len(found) < len(pieces) or sorted(names) != sorted(found):
        raise LibraryError("bad_bundle", "Its manifest tells of other files.")
    border.check_names(names)
    matched = []
    for ref in sorted(listed, key=lambda ref: ref.path != told.get("file")):
        piece = found[ref.path]
        if ref.size != piece.size:
            raise LibraryError("bad_bundle", file=ref.path[:200])
        matched.append(Piece(ref.path, piece.source, piece.offset, piece.size, ref.sha256))
    return matched


def _ref(told: Any) -> FileRef:
    ref = FileRef(str(told["path"]), int(told["size"]), str(told["sha256"]))
    if not re.fullmatch(r"[0-9a-f]{64}", ref.sha256):
        raise LibraryError("bad_bundle", file=ref.path[:200])
    return ref
