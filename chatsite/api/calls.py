"""A call's generations: start them, follow their logs together, stop them when the caller leaves.

A call that waits holds no thread, no database connection and no connection to Redis.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import redis
from asgiref.sync import sync_to_async
from django.db import transaction

from chatsite.api import crowd, errors, limits
from chatsite.api.access import Caller
from chatsite.api.waiting import hang_up
from chatsite.catalogue import actions as catalogue
from chatsite.catalogue.models import Model
from chatsite.gateway import actions as gateway
from chatsite.gateway import replay, stuck
from chatsite.gateway.follow import Follower, Place, hub
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import CallDelta, End, Entry, Logprob, Sampling
from chatsite.gateway.stuck import Reason
from chatsite.metering import repeats

log = logging.getLogger(__name__)
POOL = ThreadPoolExecutor(4, thread_name_prefix="api-stop")
# Seconds of silence after which a reader is told that the line is alive.
SILENCE = 15.0
# Seconds until a log must be there; where Redis was away, the steward enters it when it is back.
PATIENCE = 30.0
# Seconds for which an answer goes on when its last reader has left and promised, by an
# Idempotency-Key, to ask again for the same.
LINGER = 30.0
# Seconds that a program waits for a model which no machine can run, before it is told so.
STUCK = 60.0
# The parameters by which an answer's form is asked for, where that is not response_format.
FORMS = {"regex": "guided_regex", "choice": "guided_choice", "grammar": "guided_grammar"}
# Stops that are under way: the event loop itself keeps no task alive.
stopping: set[asyncio.Task[None]] = set()
# What answers a request that was made before: `start` takes them and starts nothing.
answered: ContextVar[Sequence[Generation]] = ContextVar("answered", default=())


@dataclass(slots=True)
class Piece:
    """What came of one choice since the last piece; `end` with its last."""

    choice: int
    text: str = ""
    reasoning: str = ""
    calls: list[CallDelta] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)
    # By the number of the input.
    vectors: dict[int, Sequence[float]] = field(default_factory=dict)
    end: End | None = None


@dataclass(slots=True)
class Choice:
    """How far one generation has been read."""

    number: int
    row: Generation
    position: int = 0
    chars: int = 0
    thought: int = 0
    ended: bool = False
    # Seconds in which the model was loaded for it, and when the loading began.
    loading: float = 0.0
    loads: float | None = None
    # Since when nobody takes it, and why.
    alone: float | None = None
    reason: Reason | None = None

    def note(self, reason: Reason | None) -> None:
        """Why nobody takes it now; None where somebody can."""
        if not (reason and self.reason):
            self.alone = time.monotonic() if reason else None
        self.reason = reason

    def read(self, entries: Sequence[Entry]) -> Piece:
        piece = Piece(self.number)
        self.note(None)
        for entry in entries:
            self._clock(entry)
            if entry.tokens is not None and entry.position > self.position:
                self._grow(piece, entry)
            elif entry.vector is not None:
                piece.vectors[entry.vector.index] = entry.vector.values
            elif entry.end is not None and not self.ended:
                self.ended, piece.end = True, entry.end
                finish = entry.end.finish
                piece.text += finish.text
                piece.reasoning += finish.reasoning
                piece.calls += finish.calls
        return piece

    def _clock(self, entry: Entry) -> None:
        now = time.monotonic()
        if self.loads is not None:
            self.loading += now - self.loads
        self.loads = now if entry.phase == "loading" else None

    def _grow(self, piece: Piece, entry: Entry) -> None:
        text, reasoning = entry.text, entry.reasoning
        if entry.position - len(entry.tokens or ()) < self.position:
            # A log that was put back begins anew, in one piece.
            text, reasoning = text[self.chars :], reasoning[self.thought :]
        self.position = entry.position
        self.chars += len(text)
        self.thought += len(reasoning)
        piece.text += text
        piece.reasoning += reasoning
        piece.calls += entry.calls
        piece.logprobs += entry.logprobs


def start(
    caller: Caller, model: Model, sampling: Sampling, count: int, asked: Sequence[dict[str, Any]]
) -> list[Generation]:
    """The rows of a call: `count` for each that is asked, which differ by their seeds alone."""
    wanted = "vectors" if any(each.get("inputs") for each in asked) else "answers"
    if wanted not in model.gives:
        raise errors.wrong_use(model.name, wanted)
    if known := answered.get():
        return list(known)
    key, spec = caller.key.pk if caller.key else None, catalogue.spec(model)
    with transaction.atomic():
        crowd.admit(caller.user, count * len(asked))
        late = limits.admit(caller.user.pk, key)
        return [
            gateway.start(
                owner=caller.user,
                kind=Generation.Kind.API,
                spec=spec,
                sampling=replace(sampling, seed=sampling.seed and sampling.seed + number),
                key=key,
                part=part,
                choice=number,
                late=late,
                **each,
            )
            for part, each in enumerate(asked)
            for number in range(count)
        ]


class Call:
    """The generations of one call, as they grow. Whoever makes one closes it."""

    def __init__(self, rows: Sequence[Generation], repeat: int | None = None) -> None:
        """`repeat`: the record of a request that others may make again and read with this one."""
        self.repeat = repeat
        # Whether what has not ended is stopped when it is closed.
        self.stops = True
        self.choices = [Choice(number, row) for number, row in enumerate(rows)]
        self._news: asyncio.Queue[tuple[int, Sequence[Entry]]] = asyncio.Queue()
        self._followers: list[Follower] = []
        self._closed = False
        self._loop = asyncio.get_running_loop()

    @property
    def id(self) -> str:
        return self.choices[0].row.pk.hex

    @property
    def created(self) -> int:
        return int(self.choices[0].row.created.timestamp())

    @property
    def names(self) -> dict[str, str]:
        """What the caller calls the parameters that an engine may refuse."""
        asked = self.choices[0].row.request
        if asked["inputs"]:
            return {"messages": "input", "tokens": "input"}
        form = FORMS.get(asked["shape"]["kind"])
        if asked["tools"] and asked["tool_choice"] not in {"auto", "none"}:
            form = "tools"
        names = {"response_format": form} if form else {}
        return names if asked["prompt"] is None else {**names, "messages": "prompt"}

    async def open(self) -> None:
        """Follow all of them from the beginning."""
        try:
            async with asyncio.timeout(PATIENCE):
                followed = [self._follow(choice) for choice in self.choices]
                for error in await asyncio.gather(*followed, return_exceptions=True):
                    if error:
                        raise error
        except (redis.RedisError, TimeoutError):
            self.close()
            raise errors.unreachable() from None
        task = asyncio.current_task()
        if task and task.cancelling():
            # The caller has left meanwhile; an answer of Redis at that moment may swallow it.
            raise asyncio.CancelledError

    async def _follow(self, choice: Choice) -> None:
        async def deliver(_: Follower, entries: Sequence[Entry]) -> None:
            self._news.put_nowait((choice.number, entries))

        async def queued(follower: Follower, _: Place) -> None:
            choice.note(follower.reason)

        follower = Follower(choice.row.pk.hex, choice.row.model, deliver, queued)
        # The first entry is the request itself.
        follower.last, follower.waiting = (0, 1), True
        # Before it follows: who leaves while it begins must leave nothing behind.
        self._followers.append(follower)
        while not await hub.follow(follower):
            if not choice.row.is_live:
                self._news.put_nowait((choice.number, replay.entries(choice.row)))
                return
            # Nothing tells of a log that comes.
            await asyncio.sleep(0.5)

    async def pieces(self) -> AsyncIterator[Piece | None]:
        """What comes, until all have ended; None after a while in which nothing came."""
        while not all(choice.ended for choice in self.choices):
            piece = await self.next(SILENCE)
            if piece is None or piece != Piece(piece.choice):
                yield piece

    async def next(self, seconds: float) -> Piece | None:
        try:
            async with asyncio.timeout(seconds):
                number, entries = await self._news.get()
        except TimeoutError:
            await self._give_up()
            return None
        return self.choices[number].read(entries)

    async def _give_up(self) -> None:
        """Whose model no machine can run ends: a program cannot see why it waits."""
        for choice in self.choices:
            if choice.alone and choice.reason and time.monotonic() - choice.alone > STUCK:
                await in_pool(partial(give_up, choice.row, choice.reason))

    def close(self) -> None:
        """Read no further; what has not ended is stopped at once, or a while after the last of
        several readers has left. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        for follower in self._followers:
            hub.unfollow(follower)
        unfinished = [choice.row for choice in self.choices if not choice.ended]
        if not unfinished or not self.stops or self._loop.is_closed():
            return
        if self.repeat is None:
            set_about(self._loop, partial(stop_rows, unfinished))
        else:
            rows = [choice.row for choice in self.choices]
            leave = partial(repeats.leave, self.repeat, rows)
            self._loop.call_later(LINGER, set_about, self._loop, leave)


def set_about(loop: asyncio.AbstractEventLoop, work: Callable[[], None]) -> None:
    """Do it in a thread; nobody waits for it."""
    task = loop.create_task(in_pool(work))
    stopping.add(task)
    task.add_done_callback(stopping.discard)


async def in_pool(work: Callable[[], None]) -> None:
    def done() -> None:
        try:
            work()
        finally:
            hang_up()

    await sync_to_async(done, thread_sensitive=False, executor=POOL)()


def give_up(row: Generation, reason: Reason) -> None:
    try:
        stuck.give_up(row, reason)
    except redis.RedisError:
        log.warning("%s waits on: Redis does not answer.", row.pk)


def stop_rows(rows: Sequence[Generation]) -> None:
    for row in rows:
        gateway.cancel(row)
