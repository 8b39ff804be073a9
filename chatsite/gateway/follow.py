"""One XREAD loop per web process for all live logs and the notices; followers get what is theirs.

A follower never holds a Redis connection: it is an object with a cursor, and the hub calls it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from chatsite.gateway import stuck, whole
from chatsite.gateway.broker import connect_async, share_async
from chatsite.gateway.notices import STREAM as NOTICES
from inference import client, stream

log = logging.getLogger(__name__)
# Seconds between two reads while tokens flow: what came in between travels as one frame.
PACE = 0.03
# Milliseconds that a read waits for something new: well below what counts as silence.
WAIT = 2000
# Seconds between two looks at the places in the queue.
QUEUE_PACE = 1.0
# Bytes on the disk below which it counts as full.
ROOM = 1 << 18
# Those that look at tails and places, beside the one that reads.
CONNECTIONS = 16
# Seconds that one reader may hold up the others before it is let go.
PATIENCE = 5.0
EntryId = tuple[int, int]
# How many are before it, and the seconds that it will wait about (None: not known yet).
Place = tuple[int, int | None]
BEGIN: EntryId = (0, 0)


class Follower:
    """A reader of one log. `deliver` gets the new entries in order, each once."""

    def __init__(
        self,
        id: str,
        model: str,
        deliver: Callable[[Follower, Sequence[stream.Entry]], Awaitable[None]],
        queued: Callable[[Follower, Place], Awaitable[None]],
    ) -> None:
        self.id, self.model = id, model
        self.deliver, self.queued = deliver, queued
        # The last entry that it was given; starts at the reader's position.
        self.last: EntryId = BEGIN
        # Tokens that the reader has.
        self.position = 0
        self.waiting = False
        self.place: Place | None = None
        # Why nobody takes it, while that is so.
        self.reason: stuck.Reason | None = None

    def start_at(self, position: int) -> None:
        # Every entry after the last token that the reader has, the end at the same position
        # included.
        self.last, self.position = (position, 0), position


Listener = Callable[[dict[str, Any]], Awaitable[None]]


class Hub:
    """Lives in the event loop of the web process. Its one reading task alone hands out entries, so
    that a follower gets them in order and once."""

    def __init__(self) -> None:
        self._followers: dict[str, set[Follower]] = {}
        self._listeners: set[Listener] = set()
        self._notice = ""
        self._tasks: list[asyncio.Task[None]] = []
        self._reader_id: int | None = None
        # Whether Redis is away.
        self.down = False
        # Whether the disk is full: the logs can be read then, but take no token.
        self.full = False
        # Counts the followers that came; the reading task says which of them its read knows of.
        self._came = self._known = 0
        self._waker: asyncio.Task[None] | None = None
        self._noted = asyncio.Event()

    def open(self) -> None:
        """Start its tasks in the running loop; call it as often as you like."""
        if not self._tasks or any(task.done() for task in self._tasks):
            for task in self._tasks:
                task.cancel()
            self._begun = asyncio.Event()
            self._client = share_async(CONNECTIONS)
            self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._queue())]

    async def close(self) -> None:
        """End its tasks and connections; it can be opened again, also in another loop."""
        left = {*self._tasks, *([self._waker] if self._waker else ())}
        while left:
            # An answer of Redis that comes at the same moment may swallow it.
            for task in left:
                task.cancel()
            _done, left = await asyncio.wait(left, timeout=0.05)
        if self._tasks:
            await self._client.aclose()
        self.__init__()  # type: ignore[misc]

    async def listen(self, listener: Listener) -> None:
        """Give it every notice from now on."""
        self.open()
        self._listeners.add(listener)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._begun.wait()

    def unlisten(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    async def follow(self, follower: Follower) -> bool:
        """Give it the log from its position on. False where there is no log (any more)."""
        self.open()
        key = stream.LOG + follower.id
        tail = await self._tail(key)
        if tail == BEGIN:
            return False
        if tail < follower.last:
            # The log was put back and ended before the reader's position: it must hear of the end.
            follower.last = BEGIN
        self._followers.setdefault(key, set()).add(follower)
        await self._wake()
        task = asyncio.current_task()
        if task and task.cancelling():
            # Who follows has left meanwhile: the client of Redis swallows that, mostly where it
            # connects.
            raise asyncio.CancelledError
        return True

    def unfollow(self, follower: Follower) -> None:
        key = stream.LOG + follower.id
        group = self._followers.get(key, set())
        group.discard(follower)
        if not group:
            self._followers.pop(key, None)

    async def _wake(self) -> None:
        """The read that waits does not know of the new follower yet. One task tells it, however
        many come at once."""
        self._came += 1
        mine = self._came
        if self._waker is None or self._waker.done():
            self._waker = asyncio.create_task(self._nudge())
        while self._known < mine and self._reader_id is not None:
            await self._noted.wait()

    async def _nudge(self) -> None:
        """The read may also be on its way and not wait yet, so once is not enough."""
        while self._known < self._came and self._reader_id is not None:
            try:
                await self._client.client_unblock(self._reader_id)
            except redis.RedisError:
                return
            await asyncio.sleep(0.01)

    def _note(self) -> None:
        """Whoever waits for the read looks again."""
        self._noted.set()
        self._noted = asyncio.Event()

    async def _read(self) -> None:
        pause = 0.1
        while True:
            try:
                # No tries of its own: after a failure the logs have to be looked at anew.
                once = Retry(NoBackoff(), 0)
                async with connect_async(single_connection_client=True, retry=once) as reader:
                    self._reader_id = await reader.client_id()
                    await self._recover()
                    pause = 0.1
                    while True:
                        await self._read_once(reader)
            except (redis.RedisError, OSError) as error:
                await self._fail(error)
            except Exception as error:
                log.exception("The reading of the logs failed and begins again.")
                await self._fail(error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

    async def _read_once(self, reader: redis.asyncio.Redis) -> None:
        self._known = self._came
        self._note()
        starts = {key: min(f.last for f in group) for key, group in self._followers.items()}
        places: dict[Any, Any] = {key: f"{at}-{n}" for key, (at, n) in starts.items()}
        read = {NOTICES: self._notice, **places}
        answer: Any = await reader.xread(read, block=WAIT, count=1000)
        for raw, entries in answer or ():
            key = raw.decode()
            if key == NOTICES:
                await self._announce(entries)
                continue
            for follower in list(self._followers.get(key, ())):
                # One that came meanwhile, from further back, gets all of it by the next read.
                if follower.last >= starts[key]:
                    await self._hand(follower, entries)
        # What tells of progress alone is no reason to keep the first token back.
        if any(b"t" in fields for _, entries in answer or () for _, fields in entries):
            await asyncio.sleep(PACE)

    async def _hand(self, follower: Follower, raw: Sequence[tuple[bytes, Any]]) -> None:
        fresh = [(id, fields) for id, fields in raw if _entry_id(id) > follower.last]
        if not fresh:
            return
        follower.last = _entry_id(fresh[-1][0])
        try:
            entries = [stream.parse(id, fields) for id, fields in fresh]
            if whole.splits(entries, follower.position):
                entries = await self._add_up(follower)
            follower.waiting = entries[-1].request is not None or entries[-1].phase == "waiting"
            if not follower.waiting:
                follower.place = follower.reason = None
            async with asyncio.timeout(PATIENCE):
                await follower.deliver(follower, entries)
        except redis.RedisError:
            # What was read is read once more.
            follower.last = BEGIN
        except Exception:
            log.exception("A reader of %s failed and is let go.", follower.id)
            self.unfollow(follower)
        follower.position = max(follower.position, follower.last[0])

    async def _add_up(self, follower: Follower) -> list[stream.Entry]:
        raw: Any = await self._client.xrange(stream.LOG + follower.id)
        follower.last = _entry_id(raw[-1][0])
        return whole.added_up([stream.parse(id, fields) for id, fields in raw])

    async def _announce(self, entries: Sequence[tuple[bytes, Any]]) -> None:
        for id, fields in entries:
            self._notice = id.decode()
            await self._tell(json.loads(fields[b"n"]))

    async def _tell(self, notice: dict[str, Any]) -> None:
        for listener in list(self._listeners):
            try:
                async with asyncio.timeout(PATIENCE):
                    await listener(notice)
            except Exception:
                log.exception("A listener failed and is let go.")
                self.unlisten(listener)

    async def _fail(self, error: Exception) -> None:
        self._reader_id = None
        self._note()
        if not self.down:
            self.down = True
            log.warning("Redis does not answer (%s); the readers wait.", type(error).__name__)
            await self._tell({"topic": "trouble", "kind": "broker"})
        self._begun.set()

    async def _recover(self) -> None:
        """Connected: notices count from here on, and a log that was put back may begin behind what
        was read of it."""
        if not self._notice:
            last: Any = await self._client.xrevrange(NOTICES, count=1)
            self._notice = last[0][0].decode() if last else "0-0"
        for key, followers in list(self._followers.items()):
            tail = await self._tail(key)
            for follower in followers:
                follower.last = min(follower.last, tail)
        self._begun.set()
        if self.down:
            self.down = False
            await self._tell({"topic": "trouble", "kind": "ok"})

    async def _tail(self, key: str) -> EntryId:
        """The last entry of a log; BEGIN where there is none."""
        tails: Any = await self._client.xrevrange(key, count=1)
        return _entry_id(tails[0][0]) if tails else BEGIN

    async def _queue(self) -> None:
        while True:
            await asyncio.sleep(QUEUE_PACE)
            if self._followers and not self.down:
                with contextlib.suppress(redis.RedisError):
                    await self._count()
                    await self._look_at_disk()

    async def _count(self) -> None:
        """Tell those who wait how many are before them and for how long, and why nobody comes, when
        it changes."""
        waiting = [f for group in self._followers.values() for f in group if f.waiting]
        if not waiting:
            return
        pipe = self._client.pipeline(transaction=False)
        client.ask_places(pipe, [(f.model, f.id) for f in waiting])
        answers: Any = await pipe.execute()
        reasons = await asyncio.to_thread(stuck.look, {f.model for f in waiting})
        for follower, found in zip(waiting, client.read_places(answers[0]), strict=True):
            if found is None:
                continue
            place = (found.ahead, None if found.seconds is None else round(found.seconds))
            reason = reasons.get(follower.model)
            if (place, reason) != (follower.place, follower.reason):
                follower.reason = reason
                await self._queued(follower, place)

    async def _look_at_disk(self) -> None:
        """Tell every page when a full disk begins to hold the answers up, and when it is over."""
        status = (await self._client.info("persistence")).get("aof_last_write_status")
        full = status == "err" or self._lacks_room()
        if full != self.full:
            self.full = full
            await self._tell({"topic": "trouble", "kind": "storage" if full else "ok"})

    def _lacks_room(self) -> bool:
        """The broker notices a full disk only when it writes; the database may notice it first."""
        try:
            return shutil.disk_usage(settings.DATA_DIR).free < ROOM
        except OSError:
            return False

    async def _queued(self, follower: Follower, place: Place) -> None:
        follower.place = place
        try:
            async with asyncio.timeout(PATIENCE):
                await follower.queued(follower, place)
        except Exception:
            log.exception("A reader of %s failed and is let go.", follower.id)
            self.unfollow(follower)


def _entry_id(raw: bytes) -> EntryId:
    position, _, n = raw.partition(b"-")
    return int(position), int(n)


hub = Hub()
