"""One XREAD loop per web process for all live logs and the notices; followers get what is theirs.

A follower never holds a Redis connection: it is an object with a cursor, and the hub calls it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import redis
import redis.asyncio

from chatsite.gateway.broker import connect_async
from chatsite.gateway.notices import STREAM as NOTICES
from inference import client, stream

log = logging.getLogger(__name__)
# Seconds between two reads while tokens flow: what came in between travels as one frame.
PACE = 0.03
# Seconds between two looks at the places in the queue.
QUEUE_PACE = 1.0
EntryId = tuple[int, int]
BEGIN: EntryId = (0, 0)


class Follower:
    """A reader of one log. `deliver` gets the new entries in order, each once."""

    def __init__(
        self,
        id: str,
        model: str,
        deliver: Callable[[Sequence[stream.Entry]], Awaitable[None]],
        queued: Callable[[int], Awaitable[None]],
    ) -> None:
        self.id, self.model = id, model
        self.deliver, self.queued = deliver, queued
        # The last entry that it was given; starts at the reader's position.
        self.last: EntryId = BEGIN
        # Tokens that the reader has.
        self.position = 0
        self.waiting = False
        self.ahead: int | None = None

    def start_at(self, position: int) -> None:
        # Every entry after the last token that the reader has, the end at the same position
        # included.
        self.last, self.position = (position, 0), position


Listener = Callable[[dict[str, Any]], Awaitable[None]]


class Hub:
    """Lives in the event loop of the web process, as long as it has a follower or a listener."""

    def __init__(self) -> None:
        self._followers: dict[str, set[Follower]] = defaultdict(set)
        self._listeners: set[Listener] = set()
        self._cursors: dict[str, EntryId] = {}
        self._notice = "$"
        self._tasks: list[asyncio.Task[None]] = []
        self._reader_id: int | None = None
        self._down = False

    def open(self) -> None:
        """Start its tasks in the running loop; call it as often as you like."""
        if not self._tasks or any(task.done() for task in self._tasks):
            for task in self._tasks:
                task.cancel()
            self._client = connect_async(max_connections=16, socket_timeout=10)
            self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._queue())]

    async def listen(self, listener: Listener) -> None:
        """Give it every notice from now on."""
        self.open()
        self._listeners.add(listener)
        if self._down:
            await listener({"topic": "trouble", "kind": "broker"})

    def unlisten(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    async def follow(self, follower: Follower) -> bool:
        """Give it the log from its position on. False where there is no log (any more)."""
        self.open()
        key = stream.LOG + follower.id
        low = f"({follower.last[0]}-{follower.last[1]}"
        entries = await self._client.xrange(key, min=low)
        if not entries and not await self._client.exists(key):
            return False
        self._followers[key].add(follower)
        await self._hand(follower, entries)
        self._cursors[key] = max(self._cursors.get(key, BEGIN), follower.last)
        await self._wake()
        return True

    def unfollow(self, follower: Follower) -> None:
        key = stream.LOG + follower.id
        self._followers[key].discard(follower)
        if not self._followers[key]:
            del self._followers[key]
            self._cursors.pop(key, None)

    async def _wake(self) -> None:
        """The read that waits does not know of the new log yet."""
        if self._reader_id is not None:
            with contextlib.suppress(redis.RedisError):
                await self._client.client_unblock(self._reader_id)

    async def _read(self) -> None:
        pause = 0.1
        while True:
            try:
                async with connect_async(single_connection_client=True) as reader:
                    self._reader_id = await reader.client_id()
                    await self._recover()
                    pause = 0.1
                    while True:
                        await self._read_once(reader)
            except (redis.RedisError, OSError) as error:
                self._reader_id = None
                await self._fail(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 1.0)

    async def _read_once(self, reader: redis.asyncio.Redis) -> None:
        keys: dict[str, str] = {key: f"{at}-{n}" for key, (at, n) in self._cursors.items()}
        answer = await reader.xread({NOTICES: self._notice, **keys}, block=5000, count=1000)
        for raw, entries in answer or ():
            key = raw.decode()
            if key == NOTICES:
                await self._announce(entries)
                continue
            for follower in list(self._followers.get(key, ())):
                await self._hand(follower, entries)
            if key in self._cursors:
                self._cursors[key] = max(self._cursors[key], _entry_id(entries[-1][0]))
        if answer:
            await asyncio.sleep(PACE)

    async def _hand(self, follower: Follower, raw: Sequence[tuple[bytes, Any]]) -> None:
        fresh = [(id, fields) for id, fields in raw if _entry_id(id) > follower.last]
        if not fresh:
            return
        follower.last = _entry_id(fresh[-1][0])
        entries = [stream.parse(id, fields) for id, fields in fresh]
        follower.waiting = entries[-1].request is not None or entries[-1].phase == "waiting"
        try:
            await follower.deliver(entries)
        except Exception:
            log.exception("A reader of %s failed and is let go.", follower.id)
            self.unfollow(follower)
        follower.position = max(follower.position, entries[-1].position)

    async def _announce(self, entries: Sequence[tuple[bytes, Any]]) -> None:
        for id, fields in entries:
            self._notice = id.decode()
            await self._tell(json.loads(fields[b"n"]))

    async def _tell(self, notice: dict[str, Any]) -> None:
        for listener in list(self._listeners):
            try:
                await listener(notice)
            except Exception:
                log.exception("A listener failed and is let go.")
                self.unlisten(listener)

    async def _fail(self, error: Exception) -> None:
        if not self._down:
            self._down = True
            log.warning("Redis does not answer (%s); the readers wait.", type(error).__name__)
            await self._tell({"topic": "trouble", "kind": "broker"})

    async def _recover(self) -> None:
        """Back after a failure: a log that was put back may begin behind what was read of it."""
        if self._down:
            self._down = False
            await self._tell({"topic": "trouble", "kind": "ok"})
        for key, followers in self._followers.items():
            tails = await self._client.xrevrange(key, count=1)
            tail = _entry_id(tails[0][0]) if tails else BEGIN
            if tail < self._cursors.get(key, BEGIN):
                self._cursors[key] = tail
                for follower in followers:
                    follower.last = min(follower.last, tail)

    async def _queue(self) -> None:
        """Tell those who wait how many are before them, when it changes."""
        while True:
            await asyncio.sleep(QUEUE_PACE)
            waiting = [f for group in self._followers.values() for f in group if f.waiting]
            if not waiting:
                continue
            with contextlib.suppress(redis.RedisError):
                pipe = self._client.pipeline(transaction=False)
                client.queue_ahead(pipe, [(f.model, f.id) for f in waiting])
                for follower, ahead in zip(waiting, await pipe.execute(), strict=True):
                    if ahead is not None and ahead != follower.ahead:
                        follower.ahead = ahead
                        await follower.queued(ahead)


def _entry_id(raw: bytes) -> EntryId:
    position, _, n = raw.partition(b"-")
    return int(position), int(n)


hub = Hub()
