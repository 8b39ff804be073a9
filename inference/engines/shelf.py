"""Computed prompts and conversations that no slot holds now: bytes in, bytes out. It never shows
one user what belongs to another and knows nothing of llama.cpp."""

from __future__ import annotations

import time
from bisect import bisect_left, insort
from itertools import islice, takewhile
from operator import attrgetter

import numpy as np
from numpy.typing import NDArray

from inference.engines.disk import Disk, Kept

__all__ = ["PUBLIC", "WORTH", "Kept", "Shelf"]

# The scope of what an admin published: readable by all.
PUBLIC = ""
# Tokens; a shorter beginning is computed faster than it is looked after.
WORTH = 16
ENTRIES = 4_000
_HEAD = 4 * WORTH
_KEY = attrgetter("key")


class Shelf:
    """`whole`: states of this model cannot be cut, so only one of which all tokens begin the
    prompt is of use, and only where a token is left to compute."""

    def __init__(self, room: int, disk: Disk | None, whole: bool = False) -> None:
        self._room, self._disk, self._whole = room, disk, whole
        # By scope and first tokens. The key is these themselves, and all others are compared.
        self._index: dict[tuple[str, bytes], list[Kept]] = {}
        # All of them, and those in memory; both longest unused first.
        self._all: dict[Kept, None] = {}
        self._held: dict[Kept, None] = {}
        self._bytes = self._hits = self._misses = self._evictions = 0
        for kept in disk.find() if disk else ():
            self._enter(kept)

    def find(self, scope: str, tokens: NDArray[np.int32]) -> tuple[Kept, int] | None:
        """What begins like the prompt for longest, and how many tokens they share."""
        prompt = np.ascontiguousarray(tokens, "<i4").tobytes()
        found = [each for readable in {scope, PUBLIC} for each in self._near(readable, prompt)]
        if not found:
            self._misses += len(tokens) >= WORTH
            return None
        return min(found, key=lambda each: (-each[1], each[0].state is None, each[0].size))

    def load(self, kept: Kept) -> bytes | None:
        """Its state, which counts as a use; None: it was damaged or is gone."""
        # Read once: the disk's writer may take it from memory at any moment.
        state = kept.state
        if state is None and self._disk:
            state = self._disk.read(kept)
            # A conversation comes back longer; what is published is wanted again as it is.
            if state is not None and kept.scope == PUBLIC:
                self._hold(kept, state)
        if state is None:
            self._drop(kept)
            self._misses += 1
            return None
        self._hits += 1
        self._touch(kept)
        return state

    def put(
        self, scope: str, tokens: NDArray[np.int32], state: bytes, *, replaces: Kept | None = None
    ) -> None:
        """Keep it; `replaces` and whatever else of this user it goes on from need not be kept."""
        if len(tokens) < WORTH or (len(state) > self._room and self._disk is None):
            return
        new = Kept(scope, tokens, len(state), used=time.time())
        twin = None
        for kept in self._alike(scope, new.key)[:]:
            if kept.key == new.key:
                twin = kept
            elif scope != PUBLIC and new.key.startswith(kept.key):
                self._drop(kept)
        if replaces is not None and replaces is not twin and replaces.scope == scope != PUBLIC:
            self._drop(replaces)
        if twin is None:
            self._enter(new)
            self._hold(new, state)
            return
        self._touch(twin)
        if twin.state is None:
            self._hold(twin, state)

    def tidy(self) -> bool:
        """Write one state to disk, for a restart to find; False where nothing is left to write."""
        if self._disk is None or self._disk.resting:
            return False
        waiting = [kept for kept in reversed(self._held) if not kept.offered]
        if waiting:
            written = self._disk.write(waiting[0])
            waiting[0].offered = written or not self._disk.resting
        return len(waiting) > 1 and not self._disk.resting

    def close(self, seconds: float) -> None:
        """Write what can be written in that time, last used first."""
        if self._disk is None:
            return
        self._disk.ends = time.monotonic() + seconds
        for kept in reversed(self._held):
            if time.monotonic() < self._disk.ends and not kept.name:
                self._disk.write(kept)
        self._disk.close()

    def figures(self) -> dict[str, float]:
        disk_bytes, disk_entries = self._disk.usage() if self._disk else (0, 0)
        return {
            "shelf_bytes": self._bytes,
            "shelf_entries": len(self._held),
            "disk_bytes": disk_bytes,
            "disk_entries": disk_entries,
            "hits": self._hits,
            "misses": self._misses,
            "evictions": self._evictions,
        }

    def _near(self, scope: str, prompt: bytes) -> list[tuple[Kept, int]]:
        """Those of one scope that share most with the prompt, and how much that is."""
        near = self._alike(scope, prompt)
        # They are in order, so that the prompt's place in it is between those most like it.
        place = bisect_left(near, prompt, key=_KEY)
        if self._whole:
            fit = (kept for kept in reversed(near[:place]) if prompt.startswith(kept.key))
            return [(kept, len(kept.tokens)) for kept in islice(fit, 1)]
        beside = near[max(0, place - 1) : place + 1]
        length = max((_common(kept, prompt) for kept in beside), default=0)
        begin = prompt[: 4 * length]
        first = islice(near, bisect_left(near, begin, key=_KEY), None)
        return [
            (kept, length) for kept in takewhile(lambda kept: kept.key.startswith(begin), first)
        ]

    def _alike(self, scope: str, key: bytes) -> list[Kept]:
        """Those of one scope with the same first tokens, in the order of their tokens."""
        alike = self._index.get((scope, key[:_HEAD]), [])
        for kept in [kept for kept in alike if kept.gone]:
            self._drop(kept)
        return alike

    def _enter(self, kept: Kept) -> None:
        insort(self._index.setdefault((kept.scope, kept.key[:_HEAD]), []), kept, key=_KEY)
        self._all[kept] = None
        if len(self._all) > ENTRIES:
            self._drop(next(iter(self._all)))

    def _hold(self, kept: Kept, state: bytes) -> None:
        kept.state = state
        self._held[kept] = None
        self._bytes += kept.size
        if kept.size > self._room:
            self._evict(kept)
        while self._bytes > self._room:
            self._evict(next(iter(self._held)))

    def _evict(self, kept: Kept) -> None:
        del self._held[kept]
        self._bytes -= kept.size
        self._evictions += 1
        if self._disk and self._disk.has(kept):
            kept.state = None
        elif self._disk is None or not self._disk.write_later(kept):
            self._drop(kept)

    def _touch(self, kept: Kept) -> None:
        kept.used = time.time()
        for order in (self._all, self._held):
            if kept in order:
                order[kept] = order.pop(kept)
        if self._disk:
            self._disk.touch(kept)

    def _drop(self, kept: Kept) -> None:
        if kept in self._held:
            del self._held[kept]
            self._bytes -= kept.size
        if kept in self._all:
            del self._all[kept]
            near = self._index[kept.scope, kept.key[:_HEAD]]
            near.remove(kept)
            if not near:
                del self._index[kept.scope, kept.key[:_HEAD]]
        if self._disk:
            self._disk.remove(kept)
        kept.state, kept.gone = None, True


def _common(kept: Kept, prompt: bytes) -> int:
    count = min(len(kept.key), len(prompt)) // 4
    differ = kept.tokens[:count] != np.frombuffer(prompt, "<i4", count)
    return int(differ.argmax()) if differ.any() else count
