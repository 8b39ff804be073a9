"""A response as it is sent: whole, or as server-sent events from any of them on. What it reads may
be live, over, or a row whose log is gone: `Told` and `Events` make the same of each."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

from django.http import JsonResponse, StreamingHttpResponse

from chatsite.api import errors, replies
from chatsite.api.calls import SILENCE, Call
from chatsite.api.responses.events import Events
from chatsite.api.responses.frame import NAMES, Frame
from chatsite.api.responses.output import Json
from chatsite.api.responses.told import Told
from chatsite.api.streams import KEEP_ALIVE
from chatsite.gateway.models import Generation

# Events in one write, and the seconds between two writes while more are ready: whoever reads what
# is over already gets about a megabyte a second, which nobody's connection calls unread.
BATCH = 200
PACE = 0.04


class Reading:
    """One reader of one response: the call that it reads, and the events that come of it."""

    def __init__(self, call: Call, frame: Frame, after: int = -1) -> None:
        self.call, self.events = call, Events(frame, after)
        self._row = call.choices[0].row
        self._first = call
        self._told = self._listen()

    def _listen(self) -> Told:
        told = Told(0, self._row, events=self.events)
        self.call.choices = [told]
        return told

    @property
    def ended(self) -> bool:
        return self._told.ended

    async def next(self, seconds: float) -> bool:
        """Read what comes; False where nothing did."""
        came = await self.call.next(seconds) is not None
        if self._told.torn:
            await self._again()
        return came

    async def _again(self) -> None:
        """From the beginning: the events know what they were told."""
        if self.call is not self._first:
            self.call.close()
        self.call = await reader(self._row)
        self._told = self._listen()

    async def awaited(self) -> None:
        """Wait a moment for the first words: a failure before them becomes a status."""
        until = time.monotonic() + replies.GRACE
        while not (self.ended or self.events.told) and (left := until - time.monotonic()) > 0:
            await self.next(left)
        self.check()

    async def whole(self) -> Json:
        """The response when it has ended; what failed becomes an error."""
        try:
            while not self.ended:
                await self.next(SILENCE)
        finally:
            self.close()
        self.check()
        return self.events.response

    def check(self) -> None:
        if self.events.error:
            raise errors.from_engine(self.events.error, {**NAMES, **self._first.names})

    def close(self) -> None:
        for call in (self.call, self._first):
            # Of what has ended nothing is to be stopped.
            call.stops = call.stops and not self.ended
            call.close()


async def reader(row: Generation) -> Call:
    """A call that reads a generation which goes on when its reader leaves."""
    call = Call([row])
    call.stops = False
    await call.open()
    return call


def stream(reading: Reading) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        replies.Body(reading, sent(reading)),
        content_type="text/event-stream; charset=utf-8",
        headers={"X-Accel-Buffering": "no"},
    )


async def sent(reading: Reading) -> AsyncIterator[bytes]:
    """All events that are asked for, with a comment after a while in which none came."""
    try:
        async for part in batches(reading.events.take()):
            yield part
        while not reading.ended:
            if not await reading.next(SILENCE):
                yield KEEP_ALIVE
            async for part in batches(reading.events.take()):
                yield part
    finally:
        reading.close()


async def batches(events: list[Json]) -> AsyncIterator[bytes]:
    for begin in range(0, len(events), BATCH):
        if begin:
            await asyncio.sleep(PACE)
        yield b"".join(map(event, events[begin : begin + BATCH]))


def event(data: Json) -> bytes:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {data['type']}\ndata: {text}\n\n".encode()


def answer(data: Json) -> JsonResponse:
    return JsonResponse(data, json_dumps_params={"ensure_ascii": False})
