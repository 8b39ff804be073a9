"""What every endpoint does whose answer is generated: start, follow, answer, and stop it where the
caller leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from chatsite.api.calls import Call
from chatsite.api.waiting import WaitingView, in_thread
from chatsite.gateway.models import Generation

Asked = TypeVar("Asked")


class CallView(WaitingView, Generic[Asked]):
    """A POST that starts generations and answers with what becomes of them."""

    async def post(self, request: HttpRequest) -> HttpResponseBase:
        asked, rows = await in_thread(self.begin, request)
        call = Call(rows)
        try:
            await call.open()
            return await self.reply(call, asked)
        except BaseException:
            # Also where the caller has left while this waited.
            call.close()
            raise

    def begin(self, request: HttpRequest) -> tuple[Asked, Sequence[Generation]]:
        """What was asked, and the rows that were started for it; in a thread with a database."""
        raise NotImplementedError

    async def reply(self, call: Call, asked: Asked) -> HttpResponseBase:
        """The response, whole or as a stream."""
        raise NotImplementedError
