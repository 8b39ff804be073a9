"""A file that is not complete yet: what is written to it is on the disk before anybody counts it,
and its hash is known at the end. It fetches nothing."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

from inference.library.meter import Meter
from inference.library.nouns import LibraryError

# How much is read at once of what is there, and after how much the disk is looked at again.
BLOCK, LOOK = 4 << 20, 64 << 20


class Part:
    """What huggingface_hub's http_get wants of a file, and no more. Opened at its end."""

    def __init__(self, path: Path, meter: Meter, check_space: Callable[[], None]) -> None:
        self._meter = meter
        self._check_space = check_space
        # Without a buffer: what a kill would take with it must not have been counted.
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        self._hash = hashlib.sha256()
        self._looked = 0
        self.size = 0
        self._take_in(path.name.removesuffix(".part"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def _take_in(self, name: str) -> None:
        """What came before belongs to the hash."""
        while data := os.read(self._file, BLOCK):
            self._meter.enter("verifying", name)
            self._hash.update(data)
            self.size += len(data)
            self._meter.say()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def git_hash(self) -> str:
        """As git names it; only small files have no better one."""
        found = hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)
        at = 0
        while data := os.pread(self._file, BLOCK, at):
            found.update(data)
            at += len(data)
        return found.hexdigest()

    def write(self, data: bytes) -> int:
        if self.size - self._looked >= LOOK:
            self._looked = self.size
            self._check_space()
            # Gigabytes at the end would keep everybody waiting.
            os.fdatasync(self._file)
        view = memoryview(data)
        while view:
            written = self._put(view)
            self._hash.update(view[:written])
            self.size += written
            self._meter.add(written)
            view = view[written:]
        return len(data)

    def _put(self, view: memoryview) -> int:
        try:
            return os.write(self._file, view)
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            raise LibraryError("no_space") from None

    def tell(self) -> int:
        return self.size

    def seek(self, position: int) -> int:
        """A server that knows no ranges begins anew: nothing else is asked of this."""
        assert position in {0, self.size}, "A part grows at its end alone."
        if position == 0 and self.size:
            self.truncate()
        return position

    def truncate(self, size: int = 0) -> int:
        """Throw away what came."""
        assert size == 0
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        self._meter.set(self._meter.done - self.size)
        self._hash, self.size, self._looked = hashlib.sha256(), 0, 0
        return 0

    def keep(self) -> None:
        """It is complete: power may fail from here on."""
        os.fsync(self._file)
