"""An answer as lines of JSON, one object each. It formats what a call brings and follows no log
itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from django.http import StreamingHttpResponse

from chatsite.api import errors
from chatsite.api.calls import Call, Piece
from chatsite.api.replies import Body, awaited
from chatsite.gateway.nouns import End
from chatsite.ollama.answers import Answer

LINES = "application/x-ndjson"


def line(data: dict[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def lines(data: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(map(line, data))


async def stream(call: Call, answer: Answer) -> StreamingHttpResponse:
    first = await awaited(call)
    return StreamingHttpResponse(
        Body(call, written(call, answer, first)),
        content_type=LINES,
        headers={"X-Accel-Buffering": "no"},
    )


async def written(call: Call, answer: Answer, first: Piece | None) -> AsyncIterator[bytes]:
    """All lines, those of the piece that was waited for included. A failure is the last of them."""
    try:
        if begun := answer.add(first) if first else [answer.silence()]:
            yield lines(begun)
        async for piece in call.pieces():
            if piece is None:
                yield line(answer.silence())
            elif piece.end and piece.end.finish.error:
                yield line({"error": failure(call, piece.end).message})
                return
            elif ready := answer.add(piece):
                yield lines(ready)
    finally:
        call.close()


def failure(call: Call, end: End) -> errors.ApiError:
    return errors.from_engine(end.finish.error or {}, call.names)
