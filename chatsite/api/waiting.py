"""Views that wait for an answer: async, with the API's errors, holding no thread meanwhile."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views import View

from chatsite.api import errors

log = logging.getLogger(__name__)
Args = ParamSpec("Args")
Answer = TypeVar("Answer")


class WaitingView(View):
    """An async view. What a client did wrong and what broke here comes out as the API's errors."""

    async def dispatch(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        try:
            response: HttpResponseBase = await self.handler(request)(request, *args, **kwargs)
        except errors.ApiError as error:
            response = self.refuse(error)
        except Exception as error:
            log.exception("A call of the API failed.")
            response = self.refuse(errors.failed(error))
        response.headers["X-Request-Id"] = f"req_{uuid.uuid4().hex}"
        response.headers["Cache-Control"] = "no-store"
        return response

    def handler(self, request: HttpRequest) -> Any:
        # A method may have any name, that of an attribute, too.
        method = (request.method or "").lower()
        known = method if method in self.http_method_names else "http_method_not_allowed"
        return getattr(self, known, self.http_method_not_allowed)

    def refuse(self, error: errors.ApiError) -> HttpResponseBase:
        """An error as this dialect of the API tells it."""
        return error.to_response()

    async def http_method_not_allowed(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        raise errors.wrong_method(
            request.method or "",
            [method.upper() for method in self.http_method_names if hasattr(self, method)],
        )


async def in_thread(ask: Callable[Args, Answer], *args: Args.args, **kwargs: Args.kwargs) -> Answer:
    """Run what needs the database in one of the few threads for that; each keeps its connection for
    a while, since to connect anew takes longer than many a question."""

    def asked() -> Answer:
        try:
            return ask(*args, **kwargs)
        finally:
            linger()

    return await sync_to_async(asked)()


def linger() -> None:
    """Let this thread's connections be used again by the next call; a broken one is closed."""
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None and not connection.in_atomic_block:
            connection.close_at = time.monotonic() + settings.DATABASE_LINGER
            connection.close_if_unusable_or_obsolete()


def hang_up() -> None:
    """Close this thread's database connections, but for one in the middle of a transaction."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
