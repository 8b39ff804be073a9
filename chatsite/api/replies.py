"""How a call's generations become its response: gathered to one body, or as they grow."""

from __future__ import annotations

import time
import weakref
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from django.http import StreamingHttpResponse

from chatsite.api import errors
from chatsite.api.answers import Said
from chatsite.api.calls import Call, Piece
from chatsite.api.streams import Chunks, events

# Seconds in which a failure before the first token still becomes a status; then the stream begins.
GRACE = 5.0


async def gather(call: Call) -> Sequence[Said]:
    """All choices, whole."""
    saids = [Said(choice.row.pk.hex) for choice in call.choices]
    async for piece in call.pieces():
        if piece:
            check(piece, call)
            saids[piece.choice].add(piece)
    call.close()
    return saids


async def stream(chunks: Chunks) -> StreamingHttpResponse:
    first = await awaited(chunks.call)
    return StreamingHttpResponse(
        Body(chunks.call, events(chunks, first)),
        content_type="text/event-stream; charset=utf-8",
        headers={"X-Accel-Buffering": "no"},
    )


async def awaited(call: Call) -> Piece | None:
    """The first piece with something in it, or None where it takes too long."""
    until = time.monotonic() + GRACE
    while (left := until - time.monotonic()) > 0:
        piece = await call.next(left)
        if piece and piece != Piece(piece.choice):
            check(piece, call)
            return piece
    return None


def check(piece: Piece, call: Call) -> None:
    if piece.end and piece.end.finish.error:
        raise errors.from_engine(piece.end.finish.error, call.names)


class Closing(Protocol):
    def close(self) -> None: ...


class Body:
    """The events of a call. One that is never begun, since the caller left before, ends it, too."""

    def __init__(self, call: Closing, source: AsyncIterator[bytes]) -> None:
        self._source = source
        weakref.finalize(self, call.close)

    def __aiter__(self) -> Body:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._source)
