"""A chat completion as server-sent events. It formats what a call brings and follows no log
itself."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from chatsite.api import answers, errors
from chatsite.api.calls import Call, Piece
from chatsite.gateway.nouns import End

KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"
# Bytes to a multiple of which a piece is padded, where its reader asks for it.
PADDED = 64


@dataclass(kw_only=True)
class Chunks:
    """The chunks of one call in some shape; what all of them begin with is written once."""

    call: Call
    head: dict[str, Any]
    with_usage: bool
    # How many prompts the choices answer.
    prompts: int = 1
    ends: list[End] = field(default_factory=list)

    def of(self, piece: Piece) -> list[bytes]:
        """The events of what came of one choice."""
        raise NotImplementedError

    def last(self) -> list[bytes]:
        if not self.with_usage:
            return [DONE]
        chunk = {**self.head, "choices": [], "usage": answers.usage(self.ends, self.prompts)}
        return [event(chunk), DONE]

    def event(self, choice: dict[str, Any], **further: str) -> bytes:
        chunk = {**self.head, "choices": [choice], **further}
        return event({**chunk, "usage": None} if self.with_usage else chunk)


@dataclass(kw_only=True)
class ChatChunks(Chunks):
    with_logprobs: bool = False
    # Pieces are padded, so that their lengths tell nothing to who listens on the wire.
    with_padding: bool = False
    old_calls: bool = False
    # Choices that have said their role, and those that made a tool call.
    begun: set[int] = field(default_factory=set)
    called: set[int] = field(default_factory=set)

    def of(self, piece: Piece) -> list[bytes]:
        number = piece.choice
        out = []
        if number not in self.begun:
            self.begun.add(number)
            out.append(self._chunk(number, {"role": "assistant", "content": ""}))
        if piece.calls:
            self.called.add(number)
        if piece.text or piece.reasoning or piece.calls or piece.logprobs:
            choice = self.call.choices[number]
            delta = answers.delta(choice, piece, old_calls=self.old_calls)
            logprobs = answers.logprobs(piece.logprobs, wanted=self.with_logprobs)
            out.append(self._chunk(number, delta, logprobs))
        if piece.end:
            self.ends.append(piece.end)
            reason = answers.finish_reason(
                piece.end, called=number in self.called, old_calls=self.old_calls
            )
            out.append(self._chunk(number, {}, reason=reason))
        return out

    def _chunk(
        self,
        number: int,
        delta: dict[str, Any],
        logprobs: dict[str, Any] | None = None,
        reason: str | None = None,
    ) -> bytes:
        choice = {"index": number, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return self._padded(choice) if self.with_padding else self.event(choice)

    def _padded(self, choice: dict[str, Any]) -> bytes:
        """With random letters that make the length a round one."""
        length = PADDED - len(self.event(choice)) % PADDED
        padding = secrets.token_urlsafe(length)[:length]
        return self.event(choice, obfuscation=padding)


def event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


async def events(chunks: Chunks, first: Piece | None) -> AsyncIterator[bytes]:
    """All events, the piece that was waited for included. A failure is the last of them."""
    try:
        if first is None:
            yield KEEP_ALIVE
        elif ready := chunks.of(first):
            yield b"".join(ready)
        async for piece in chunks.call.pieces():
            if piece is None:
                yield KEEP_ALIVE
            elif piece.end and piece.end.finish.error:
                error = errors.from_engine(piece.end.finish.error, chunks.call.names)
                yield event(error.to_dict())
                return
            else:
                yield b"".join(chunks.of(piece))
        yield b"".join(chunks.last())
    finally:
        chunks.call.close()
