"""Brings the files of a model to this machine's disk, whatever happens on the way: what has come
stays and is gone on from, and what is complete is what the hub has. It judges no weights.

huggingface_hub finds and reads the files. Its `hf_hub_download` begins anew in every process, so
the bytes go through its `http_get` into a file of ours that stays (`<path>.part`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

from inference import places
from inference.library import client, room
from inference.library.meter import Meter, Tell
from inference.library.nouns import Errand, FileRef, LibraryError
from inference.library.part import Part
from inference.library.sources import Address, Origin, Repository, Source

Answer = TypeVar("Answer")
# Worth another try; everything else an admin has to mend first.
PASSING = {"hub_down", "cut_off", "rate_limited", "peer_away", "broker"}
# Tries where nothing has come at all; seconds without a byte after which an errand fails that had
# come on; the longest pause between two tries.
TRIES, PATIENCE, LONGEST_PAUSE = 4, 900.0, 30.0
# Bytes of the disk that are left to everything else.
RESERVE = 512 << 20


def run(
    errand: Errand, folder: Path, tell: Tell, source: Origin | None = None
) -> tuple[FileRef, ...]:
    """All files of an errand into `folder`, complete and as the hub has them, or `source`."""
    if source is None:
        client.start(errand.hub)
        source = Repository(errand) if errand.repo else Address(errand)
    folder.mkdir(parents=True, exist_ok=True)
    return Fetch(errand, folder, Meter(tell), source).run()


class Fetch:
    """One errand's."""

    def __init__(self, errand: Errand, folder: Path, meter: Meter, source: Origin) -> None:
        self._errand = errand
        self._folder = folder
        self._meter = meter
        self._tries = 0
        self._from = source

    def run(self) -> tuple[FileRef, ...]:
        files = self._from.files()
        if not files:
            raise LibraryError("missing", repo=self._errand.repo, what="file")
        for each in files:
            self._final(each)
        # Before the first word: nobody is to see it go back.
        self._meter.done = held = sum(map(self._held, files))
        self._meter.total = sum(each.size for each in files) if all(f.size for f in files) else 0
        self._meter.enter("fetching", files[0].path)
        files = [self._measured(each) for each in files]
        self._meter.total = sum(each.size for each in files) if all(f.size for f in files) else 0
        with room.counting(self._folder, self._meter.total) as promised:
            self._check_space(max(0, self._meter.total - held), promised)
        return tuple(self._bring(each) for each in files)

    def _measured(self, ref: FileRef) -> FileRef:
        """With its size, where nobody knew it."""
        if ref.size or self._final(ref).exists():
            return ref
        return replace(ref, size=self._patiently(lambda: self._from.find(ref)).size)

    def _final(self, ref: FileRef) -> Path:
        """Names from elsewhere lead nowhere but below the folder (R6)."""
        try:
            return places.below(self._folder, ref.path)
        except places.OddNameError as odd:
            raise LibraryError("refused_file", file=str(odd)) from None

    def _part(self, ref: FileRef) -> Path:
        final = self._final(ref)
        return final.with_name(final.name + ".part")

    def _held(self, ref: FileRef) -> int:
        """Bytes of it that are on the disk."""
        for path in (self._final(ref), self._part(ref)):
            if path.is_file():
                return path.stat().st_size
        return 0

    def _bring(self, ref: FileRef) -> FileRef:
        """One file, complete. What came with wrong bytes gets one more try, from its beginning."""
        final = self._final(ref)
        if final.is_file():
            return ref
        final.parent.mkdir(parents=True, exist_ok=True)
        with Part(self._part(ref), self._meter, self._check_space) as part:
            for _ in range(2):
                source = self._patiently(lambda: self._fill(ref, part))
                if self._is_right(ref, source, part):
                    part.keep()
                    self._part(ref).replace(final)
                    self._note(ref).unlink(missing_ok=True)
                    return FileRef(ref.path, part.size, part.sha256)
                part.truncate()
        raise LibraryError("wrong_hash", f"{ref.path} is not what it should be.", file=ref.path)

    def _is_right(self, ref: FileRef, source: Source, part: Part) -> bool:
        """By the strongest of what is known of it."""
        size, sha256 = ref.size or source.size, ref.sha256 or source.sha256
        if size and part.size != size:
            return False
        if sha256:
            return part.sha256 == sha256.lower()
        return not source.git or part.git_hash() == source.git

    def _fill(self, ref: FileRef, part: Part) -> Source:
        """From what is there to its end."""
        from huggingface_hub.file_download import http_get

        source = self._from.find(ref)
        size = ref.size or source.size
        headers = dict(source.headers)
        if size and part.size > size:
            part.truncate()
        if self._from.is_versioned:
            headers |= self._resumable(ref, source, part)
        self._meter.enter("fetching", ref.path)
        if not size or part.size < size:
            http_get(
                source.url,
                cast("Any", part),
                resume_size=part.size,
                headers=headers,
                expected_size=size or None,
                displayed_filename=ref.path,
            )
        return source

    def _resumable(self, ref: FileRef, source: Source, part: Part) -> dict[str, str]:
        """A plain server's file may be another one by now: then it comes from its beginning."""
        note = self._note(ref)
        known = note.read_text(encoding="utf-8") if note.exists() else ""
        if part.size and not (source.version and source.version == known):
            part.truncate()
        note.write_text(source.version, encoding="utf-8")
        return {"If-Range": source.version} if part.size else {}

    def _note(self, ref: FileRef) -> Path:
        part = self._part(ref)
        return part.with_name(part.name + ".version")

    def _patiently(self, call: Callable[[], Answer]) -> Answer:
        """What it answers; what fails and may pass is tried again, and everybody can see that."""
        self._tries = 0
        while True:
            before = self._meter.moved
            try:
                return call()
            except Exception as error:  # noqa: BLE001 - what is none of the hub's troubles goes on
                trouble = self._from.explain(error)
            self._tries = 0 if self._meter.moved > before else self._tries + 1
            if trouble.kind not in PASSING or self._is_hopeless(trouble):
                raise trouble
            self._meter.stall(trouble)
            time.sleep(self._pause(trouble))

    def _is_hopeless(self, trouble: LibraryError) -> bool:
        silent = time.monotonic() - self._meter.moved
        if trouble.kind == "rate_limited":
            return silent > PATIENCE * 4
        return silent > PATIENCE or (self._meter.still and self._tries >= TRIES)

    def _pause(self, trouble: LibraryError) -> float:
        told = trouble.facts.get("seconds")
        return float(told) if told else min(2.0 ** (self._tries - 1), LONGEST_PAUSE)

    def _check_space(self, needed: int = 0, promised: int = 0) -> None:
        """LibraryError no_space where so many bytes more do not fit beside what was promised to
        others."""
        free = max(0, shutil.disk_usage(self._folder).free - RESERVE - promised)
        if needed > free or not free:
            left = max(needed, self._meter.total - self._meter.done)
            raise LibraryError("no_space", needed=left, free=free)
