"""What the tests' hub has: repositories, their files and who may read them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

# Larger ones, and weights, are kept outside of git there as well.
LFS = 1 << 20
WEIGHTS = (".gguf", ".safetensors", ".bin", ".pt")


@dataclass(frozen=True)
class Blob:
    """The bytes of a file, in memory or on the disk."""

    source: bytes | Path

    @cached_property
    def size(self) -> int:
        here = self.source
        return len(here) if isinstance(here, bytes) else here.stat().st_size

    @cached_property
    def sha256(self) -> str:
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        with self.source.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def git(self) -> str:
        data = self.read(0, self.size)
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()

    def read(self, start: int, count: int) -> bytes:
        if isinstance(self.source, bytes):
            return self.source[start : start + count]
        with self.source.open("rb") as file:
            file.seek(start)
            return file.read(count)


@dataclass(frozen=True)
class Repo:
    """`gated`: "", auto or manual; `members`: tokens that were let in, or that may see a private
    one."""

    name: str
    files: dict[str, Blob]
    gated: str = ""
    private: bool = False
    members: frozenset[str] = frozenset()
    licence: str = "apache-2.0"
    task: str = "text-generation"
    tags: tuple[str, ...] = ()
    downloads: int = 0
    likes: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def commit(self) -> str:
        told = "".join(f"{path}\0{blob.git}" for path, blob in sorted(self.files.items()))
        return hashlib.sha1(told.encode(), usedforsecurity=False).hexdigest()

    def is_lfs(self, path: str) -> bool:
        return path.endswith(WEIGHTS) or self.files[path].size > LFS

    def info(self) -> dict[str, Any]:
        formats = {path.rpartition(".")[2] for path in self.files} & {"gguf", "safetensors"}
        return {
            "_id": self.commit[:24],
            "id": self.name,
            "modelId": self.name,
            "author": self.name.partition("/")[0],
            "sha": self.commit,
            "lastModified": "2026-05-04T03:02:01.000Z",
            "createdAt": "2026-01-02T03:04:05.000Z",
            "private": self.private,
            "gated": self.gated or False,
            "disabled": False,
            "downloads": self.downloads,
            "likes": self.likes,
            "tags": [*sorted(formats), f"license:{self.licence}", *self.tags],
            "pipeline_tag": self.task,
            "cardData": {"license": self.licence},
            "siblings": [{"rfilename": path} for path in sorted(self.files)],
            **self.extra,
        }

    def tree(self) -> list[dict[str, Any]]:
        folders = {path.rpartition("/")[0] for path in self.files if "/" in path}
        entries: list[dict[str, Any]] = [
            {"type": "directory", "oid": "0" * 40, "size": 0, "path": path}
            for path in sorted(folders)
        ]
        for path, blob in sorted(self.files.items()):
            entry = {"type": "file", "oid": blob.git, "size": blob.size, "path": path}
            if self.is_lfs(path):
                lfs = {"oid": blob.sha256, "size": blob.size, "pointerSize": 135}
                entry |= {"lfs": lfs, "xetHash": blob.sha256}
            entries.append(entry)
        return entries
