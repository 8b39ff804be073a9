"""Many readers of event streams in one process, as cheap as they can be: they share the cores with
what they measure."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

PATIENCE = 120.0


@dataclass(slots=True)
class Heard:
    """One stream of words, each the time at which it was said."""

    id: str = ""
    # When a frame came, and its words.
    frames: list[tuple[float, list[str]]] = field(default_factory=list)
    whole: bool = False
    # The words with which the entries of the log end; without them every frame is one.
    ends: frozenset[str] = frozenset()

    def within(self, begin: float, end: float) -> list[tuple[float, list[str]]]:
        return [frame for frame in self.frames if begin < frame[0] <= end]

    def late(self, begin: float, end: float) -> list[float]:
        """Seconds from an entry's last word to its reader."""
        return [
            at - float(word)
            for at, words in self.within(begin, end)
            for word in words
            if (word in self.ends if self.ends else word == words[-1])
        ]


@dataclass(frozen=True, slots=True)
class Relay:
    """What all readers heard while all of them were read to."""

    heard: Sequence[Heard]

    @property
    def window(self) -> tuple[float, float]:
        begin = max(each.frames[0][0] for each in self.heard)
        end = min(each.frames[-1][0] for each in self.heard)
        assert end > begin, "They were not read to at the same time."
        return begin, end

    @property
    def fewest(self) -> float:
        """Frames per second of the reader who got the fewest."""
        begin, end = self.window
        return min(len(each.within(begin, end)) for each in self.heard) / (end - begin)

    @property
    def rate(self) -> float:
        """Words per second, all readers together."""
        begin, end = self.window
        counts = (len(words) for each in self.heard for _, words in each.within(begin, end))
        return sum(counts) / (end - begin)

    def late(self, share: float) -> float:
        """Milliseconds within which so many of the entries came."""
        found = sorted(late for each in self.heard for late in each.late(*self.window))
        return found[int(len(found) * share)] * 1000


def listen(host: str, port: int, body: bytes, count: int) -> Relay:
    return asyncio.run(listen_all(host, port, body, count))


async def listen_all(host: str, port: int, body: bytes, count: int) -> Relay:
    async with asyncio.timeout(PATIENCE):
        heard = await asyncio.gather(*(read(host, port, body) for _ in range(count)))
    assert all(each.whole for each in heard), "A stream was broken off."
    return Relay(heard)


async def read(host: str, port: int, body: bytes) -> Heard:
    reader, writer = await asyncio.open_connection(host, port)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    heard = Heard()
    # Every event comes in one piece of its own, so the lengths between them can be passed over.
    async for line in reader:
        if line.startswith(b"data: {"):
            take(heard, line)
        elif line.startswith(b"data: [DONE]"):
            heard.whole = True
            break
    writer.close()
    return heard


def take(heard: Heard, line: bytes) -> None:
    now = time.monotonic()
    chunk = json.loads(line[6:])
    assert "error" not in chunk, chunk
    heard.id = chunk["id"]
    words = chunk["choices"][0]["delta"].get("content")
    if words:
        heard.frames.append((now, words.split()))
