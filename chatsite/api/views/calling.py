"""What every endpoint does whose answer is generated: start, follow, answer, and stop it where the
caller leaves. What comes again under an Idempotency-Key is followed and not started."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from chatsite.api import errors, limits, once
from chatsite.api.calls import Call
from chatsite.api.waiting import WaitingView, in_thread
from chatsite.gateway.models import Generation
from chatsite.metering import repeats

Asked = TypeVar("Asked")


@dataclass(frozen=True, slots=True)
class Begun(Generic[Asked]):
    """A call that has its generations. `repeat` is the record of its Idempotency-Key."""

    asked: Asked
    rows: Sequence[Generation]
    headers: Mapping[str, str]
    repeat: int | None = None


class CallView(WaitingView, Generic[Asked]):
    """A POST that starts generations and answers with what becomes of them."""

    async def post(self, request: HttpRequest) -> HttpResponseBase:
        call, begun = await self.entered(request)
        try:
            await call.open()
            response = await self.reply(call, begun.asked)
        except errors.ApiError as error:
            call.close()
            error.headers = {**begun.headers, **error.headers}
            raise
        except BaseException:
            # Also where the caller has left while this waited.
            call.close()
            raise
        for name, value in begun.headers.items():
            response.headers.setdefault(name, value)
        return response

    async def entered(self, request: HttpRequest) -> tuple[Call, Begun[Asked]]:
        """What has begun. Where the caller leaves meanwhile, it ends as soon as it has."""
        entering = asyncio.create_task(in_thread(self.enter, request))
        try:
            begun = await asyncio.shield(entering)
        except asyncio.CancelledError:
            entering.add_done_callback(abandon)
            raise
        return Call(begun.rows, begun.repeat), begun

    def enter(self, request: HttpRequest) -> Begun[Asked]:
        """Begin, or find what was begun before; in a thread with a database."""
        # A repeat lets nobody in: what an earlier call of this context was told is not for it.
        limits.admitted.set(None)
        name = once.name_of(request)
        if name is None:
            asked, rows = self.begin(request)
            return Begun(asked, rows, limits.headers(rows))
        with once.held(request, name) as row:
            before = row.generations
            asked, rows = self.begin(request)
            repeats.read(row, rows)
        told = limits.headers(rows)
        if before and before == row.generations:
            told["Idempotent-Replayed"] = "true"
        return Begun(asked, rows, told, row.pk)

    def begin(self, request: HttpRequest) -> tuple[Asked, Sequence[Generation]]:
        """What was asked, and the rows that were started for it; in a thread with a database."""
        raise NotImplementedError

    async def reply(self, call: Call, asked: Asked) -> HttpResponseBase:
        """The response, whole or as a stream."""
        raise NotImplementedError


def abandon(entering: asyncio.Task[Begun[Any]]) -> None:
    """Nobody is there any more to read what was begun."""
    if entering.cancelled() or entering.exception():
        return
    begun = entering.result()
    Call(begun.rows, begun.repeat).close()
