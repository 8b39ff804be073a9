"""The models on this machine's disk: a folder for each, complete, judged and tried before it has
its name. It fetches nothing and knows no rows."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

from inference import places
from inference.contract import ModelSpec
from inference.hardware import Verdicts
from inference.library import border, probe, quarantine
from inference.library.border import Passed
from inference.library.meter import Meter, Tell
from inference.library.nouns import Errand, FileRef, Landed, LibraryError

log = logging.getLogger(__name__)
MANIFEST = "manifest.json"
INCOMING, REMOVED = ".incoming", ".removed"
BLOCK = 4 << 20
# Bytes of the disk that are left to everything else.
RESERVE = 512 << 20
UNWANTED = re.compile(r"[^a-z0-9._]+")
# What the trial of a file says, in the words that an admin gets.
REASONS = {"crashed": "crashed", "too_slow": "timed_out"}
# Refusals that are the files' own fault.
GUILTY = {"refused_file", "bad_header", "crashed", "timed_out", "cannot_load", "wrong_hash"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder of the store is and where it came from; `fast` and `defences`: how it was
    tried."""

    landed: Landed
    errand: str = ""
    repo: str = ""
    revision: str = ""
    url: str = ""
    fast: bool = True
    defences: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(
            landed=Landed.from_dict(data["landed"]),
            defences=tuple(data.get("defences") or ()),
            fast=data.get("fast") is not False,
            **{name: str(data.get(name) or "") for name in ("errand", "repo", "revision", "url")},
        )


class Store:
    """`data_dir`: the worker's."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.root = data_dir / places.STORE

    def path(self, folder: str, file: str = "") -> Path:
        """Where it lies; LibraryError refused_file for a name that is no place here (R6)."""
        try:
            if not file:
                return places.stored(self.root, folder, MANIFEST).parent
            return places.stored(self.root, folder, file)
        except places.OddNameError as odd:
            raise LibraryError("refused_file", file=str(odd)) from None

    def incoming(self, errand_id: str) -> Path:
        """Where the files of an errand lie until they have landed."""
        assert errand_id.isalnum(), "Ids are hexadecimal."
        folder = self.root / INCOMING / errand_id
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def manifest(self, folder: str) -> Manifest | None:
        try:
            told = json.loads((self.path(folder) / MANIFEST).read_text(encoding="utf-8"))
            return Manifest.from_dict(told)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def folders(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(each.name for each in self.root.iterdir() if places.FOLDER.match(each.name))

    def landed(self, errand: Errand) -> Landed | None:
        """What this errand has brought already: its process may have ended before it said so."""
        for folder in [errand.folder] if errand.folder else self.folders():
            known = self.manifest(folder)
            if known and known.errand == errand.id:
                return known.landed
        return None

    def used(self) -> dict[str, int]:
        """Bytes on the disk by folder, those with a dot among them."""
        if not self.root.is_dir():
            return {}
        return {each.name: _bytes(each) for each in self.root.iterdir()}

    def check_space(self, needed: int = 0, promised: int = 0) -> None:
        """LibraryError no_space where so many bytes more do not fit beside what was promised to
        others."""
        self.root.mkdir(parents=True, exist_ok=True)
        free = max(0, shutil.disk_usage(self.root).free - RESERVE - promised)
        if needed > free or not free:
            raise LibraryError("no_space", needed=needed, free=free)

    def remove(self, folder: str) -> int:
        """Take it off the disk; the bytes that this frees. Nobody sees it half."""
        place = self.path(folder)
        away = self.root / REMOVED
        freed = _bytes(place)
        if place.is_dir():
            away.mkdir(exist_ok=True)
            place.rename(away / uuid.uuid4().hex)
        # Also what a kill has left there of another. The place itself stays: several remove at
        # once.
        for each in away.iterdir() if away.is_dir() else ():
            shutil.rmtree(each, ignore_errors=True)
        return freed

    def land(
        self, incoming: Path, errand: Errand, report: Tell, about: dict[str, Any] | None = None
    ) -> Landed:
        """What every arrival passes: names, headers, hashes, the trial; then it has its folder.
        What fails is set aside, and the LibraryError says why."""
        quarantine.sweep(self.root)
        try:
            manifest = self._examine(incoming, errand, report, about or {})
        except LibraryError as error:
            log.info("Errand %s is refused: %s (%s).", errand.id, error.kind, error)
            if error.kind in GUILTY:
                quarantine.put(self.root, incoming, errand, error)
            raise
        return self.commit(incoming, manifest)

    def _examine(
        self, incoming: Path, errand: Errand, report: Tell, about: dict[str, Any]
    ) -> Manifest:
        if errand.folder:
            self.path(errand.folder)
        meter = Meter(report)
        meter.enter("checking")
        # Ours, of a try that was killed; and nobody else's is ours.
        (incoming / MANIFEST).unlink(missing_ok=True)
        passed = border.judge(incoming, errand.files[0].path if errand.files else "")
        files = self._hashed(incoming, passed, errand.files, meter)
        folder = errand.folder or folder_name(passed.file, files)
        tried = _try_out(incoming, passed, report)
        landed = Landed(
            folder=folder,
            file=passed.file,
            engine=passed.engine,
            files=files,
            format=passed.format,
            quant=passed.quant,
            shapes=passed.shapes,
            name=passed.name,
            licence=_text(about, "licence") or _text(errand.about, "licence"),
            template=bool(passed.template),
            about=about,
        )
        return Manifest(
            landed,
            errand=errand.id,
            repo=errand.repo or _text(about, "repo"),
            revision=errand.revision or _text(about, "revision"),
            url=errand.url,
            fast=tried["fast"],
            defences=tuple(tried["defences"]),
        )

    def _hashed(
        self, incoming: Path, passed: Passed, known: tuple[FileRef, ...], meter: Meter
    ) -> tuple[FileRef, ...]:
        """All files with size and hash, the engine's first; wrong_hash where one is another."""
        wanted = {each.path: each for each in known}
        paths = sorted(passed.paths, key=lambda path: (path != passed.file, path))
        meter.total = sum((incoming / path).stat().st_size for path in paths)
        found = []
        for path in paths:
            ref = _hash(incoming, path, meter)
            told = wanted.get(path, ref)
            if told.sha256.lower() not in {"", ref.sha256} or told.size not in {0, ref.size}:
                raise LibraryError("wrong_hash", file=path)
            found.append(ref)
        missing = wanted.keys() - set(paths) - {MANIFEST}
        if missing:
            raise LibraryError("incomplete", file=min(missing))
        return tuple(found)

    def commit(self, incoming: Path, manifest: Manifest) -> Landed:
        """Give it its name, all at once. The same files that are there already stay."""
        landed = manifest.landed
        place = self.path(landed.folder)
        if place.exists():
            here = self.manifest(landed.folder)
            if here is None or set(here.landed.files) != set(landed.files):
                raise LibraryError("exists", path=landed.folder)
            shutil.rmtree(incoming)
            return here.landed
        draft = incoming / MANIFEST
        with draft.open("w", encoding="utf-8") as file:
            json.dump(asdict(manifest), file, ensure_ascii=False, indent=1)
            file.flush()
            os.fsync(file.fileno())
        self._learn(manifest)
        incoming.rename(place)
        return landed

    def _learn(self, manifest: Manifest) -> None:
        """What crashes with the fast kernels does not crash once more to say so."""
        landed = manifest.landed
        spec = ModelSpec(landed.folder, landed.engine, {"store": f"{landed.folder}/{landed.file}"})
        Verdicts(self.data_dir / "engine" / "verdicts.json").record(spec, fast=manifest.fast)


def folder_name(file: str, files: tuple[FileRef, ...]) -> str:
    """For what has no name by its origin: readable, and another for other bytes."""
    whole = hashlib.sha256("\n".join(sorted(each.sha256 for each in files)).encode()).hexdigest()
    stem = PurePosixPath(file).stem.lower()
    slug = UNWANTED.sub("-", stem)[:100].strip("-._")
    return "-".join(part for part in (slug, whole[:12]) if part)


def _try_out(incoming: Path, passed: Passed, report: Tell) -> dict[str, Any]:
    if passed.format == "safetensors":
        # Their headers were read here already, by the rules of the format, and no native code of
        # ours reads them: vLLM loads them in a process of its own, and may not be on this machine.
        return {"fast": True, "defences": []}
    parts = [incoming / part for part in passed.parts]
    try:
        return probe.try_out(incoming / passed.file, passed.engine, report, parts)
    except LibraryError as error:
        kind = REASONS.get(str(error.facts.get("reason")), "cannot_load")
        raise LibraryError(kind, str(error), file=passed.file) from error


def _hash(folder: Path, path: str, meter: Meter) -> FileRef:
    found, size = hashlib.sha256(), 0
    meter.enter("verifying", path)
    with (folder / path).open("rb") as file:
        while data := file.read(BLOCK):
            found.update(data)
            size += len(data)
            meter.add(len(data))
    return FileRef(path, size, found.hexdigest())


def _bytes(path: Path) -> int:
    """Of all files below, links not followed."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.lstat(Path(folder) / name).st_size
            except OSError:
                continue
    return total


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value[:200] if isinstance(value, str) else ""
