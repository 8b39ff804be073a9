"""Takes a model from a path of this machine: a GGUF file with its parts, a folder, a bundle. It
copies; what it copied passes the same border as what was fetched."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference import gguf, places
from inference.gguf import GgufError
from inference.library import border, bundle, room, uploads, variants
from inference.library.bundle import Piece
from inference.library.meter import Meter, Tell
from inference.library.nouns import Errand, FileRef, Landed, LibraryError
from inference.library.part import Part
from inference.library.store import GUILTY, Store

BLOCK = 4 << 20
# Of which files the copies are, so that nothing is gone on with that has changed since.
NOTE = ".source"
ABSENT = (FileNotFoundError, NotADirectoryError, PermissionError)


def run(errand: Errand, store: Store, report: Tell) -> Landed:
    """Look first, then copy, then land. An upload is ours: it is linked, and gone afterwards."""
    upload = uploads.of_path(store.data_dir, errand.path)
    landed = store.landed(errand)
    try:
        landed = landed or _take(errand, store, report, link=bool(upload))
    except LibraryError as error:
        if upload and error.kind in GUILTY:
            uploads.abandon(store.data_dir, upload)
        raise
    if upload:
        uploads.abandon(store.data_dir, upload)
    return landed


def _take(errand: Errand, store: Store, report: Tell, *, link: bool) -> Landed:
    try:
        pieces, about = _plan(_source(errand.path))
        folder = store.incoming(errand.id)
        _remember(folder, pieces)
        link = link or errand.about.get("link") is True
        files = _bring(pieces, folder, store, Meter(report), link=link)
    except OSError as error:
        kind = "no_file" if isinstance(error, ABSENT) else "disk_error"
        raise LibraryError(kind, str(error), path=errand.path[:200]) from error
    (folder / NOTE).unlink()
    return store.land(folder, replace(errand, files=files), report, about)


def _source(text: str) -> Path:
    """What is there: a file or a folder. Devices and pipes would never end."""
    if not text.startswith("/") or "\0" in text:
        raise LibraryError("bad_path", path=text[:200])
    path = Path(text).resolve(strict=True)
    if not (path.is_dir() or stat.S_ISREG(path.stat().st_mode)):
        raise LibraryError("refused_file", file=text[:200])
    return path


def _plan(path: Path) -> tuple[list[Piece], dict[str, Any]]:
    """Which bytes become which files, the engine's first, and what a bundle says beside. What lies
    does so before it is copied."""
    if path.is_dir():
        return _of_folder(path), {}
    if path.name.lower().endswith(border.GGUF):
        return _of_file(path), {}
    if bundle.is_one(path):
        about, pieces = bundle.read(path)
        return pieces, about
    kind = "incomplete" if path.name.endswith(border.SAFETENSORS) else "refused_file"
    raise LibraryError(kind, file=path.name[:200])


def _of_file(path: Path) -> list[Piece]:
    if found := gguf.PART.search(path.name):
        path = path.with_name(f"{path.name[: found.start()]}-00001-of-{found[2]}.gguf")
    try:
        parts = gguf.parts(path)
    except GgufError as error:
        raise LibraryError("incomplete", str(error), file=path.name[:200]) from None
    return _pieces(path.parent, [part.name for part in parts])


def _of_folder(folder: Path) -> list[Piece]:
    """One model and its data; programs, pickles and the like stay where they are."""
    paths = [path for path in border.walk(folder, hidden=False) if border.is_allowed(path)]
    refs = [FileRef(path, (folder / path).stat().st_size) for path in paths]
    found, aside = variants.of(refs)
    if len(found) != 1:
        raise LibraryError("several" if found else "incomplete")
    (variant,) = found
    files = [*variant.files, *(aside if variant.format == "gguf" else ())]
    return _pieces(folder, [each.path for each in files])


def _pieces(folder: Path, names: Sequence[str]) -> list[Piece]:
    border.check_names(names)
    for name in names:
        # A link would lead to whatever its maker likes.
        if (folder / name).is_symlink():
            raise LibraryError("refused_file", file=name[:200])
        if name.lower().endswith((border.GGUF, border.SAFETENSORS)):
            border.check_header(folder / name)
    return [Piece(name, folder / name, 0, (folder / name).stat().st_size) for name in names]


def _remember(folder: Path, pieces: Sequence[Piece]) -> None:
    """Begin anew where the copies that are there are of something else."""
    stamps = {str(piece.source): piece.source.stat() for piece in pieces}
    told = [[name, each.st_size, each.st_mtime_ns] for name, each in sorted(stamps.items())]
    note = folder / NOTE
    text = json.dumps(told)
    if note.exists() and note.read_text(encoding="utf-8") == text:
        return
    shutil.rmtree(folder)
    folder.mkdir()
    note.write_text(text, encoding="utf-8")


def _bring(
    pieces: Sequence[Piece], folder: Path, store: Store, meter: Meter, *, link: bool
) -> tuple[FileRef, ...]:
    held = sum(_held(places.below(folder, piece.path)) for piece in pieces)
    meter.done, meter.total = held, sum(piece.size for piece in pieces)
    meter.enter("copying", pieces[0].path)
    # A link needs no space.
    if not link or any(piece.offset for piece in pieces):
        with room.counting(folder, meter.total) as promised:
            store.check_space(max(0, meter.total - held), promised)
    return tuple(_copy(piece, folder, store, meter, link=link) for piece in pieces)


def _held(final: Path) -> int:
    for path in (final, final.with_name(final.name + ".part")):
        if path.is_file():
            return path.stat().st_size
    return 0


def _copy(piece: Piece, folder: Path, store: Store, meter: Meter, *, link: bool) -> FileRef:
    final = places.below(folder, piece.path)
    final.parent.mkdir(parents=True, exist_ok=True)
    if final.is_file() or (link and _linked(piece, final)):
        meter.set(max(meter.done, final.stat().st_size))
        return FileRef(piece.path, piece.size, piece.sha256)
    name = final.with_name(final.name + ".part")
    with Part(name, meter, store.check_space) as part, piece.source.open("rb") as source:
        if part.size > piece.size:
            part.truncate()
        meter.enter("copying", piece.path)
        source.seek(piece.offset + part.size)
        while part.size < piece.size and (data := source.read(min(BLOCK, piece.size - part.size))):
            part.write(data)
        if piece.sha256 and part.sha256 != piece.sha256:
            part.truncate()
            raise LibraryError("bad_bundle", f"{piece.path} is damaged.", file=piece.path)
        part.keep()
        name.replace(final)
        return FileRef(piece.path, piece.size, part.sha256)


def _linked(piece: Piece, final: Path) -> bool:
    """The same bytes under another name, where the file system can do that."""
    if piece.offset:
        return False
    try:
        os.link(piece.source, final, follow_symlinks=False)
    except OSError:
        return False
    return True
