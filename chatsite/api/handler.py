"""A program's way into Django: through the front door, without what only browsers need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import markcoroutinefunction
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from chatsite.api import errors

# Below these a key counts and no session does.
PATHS = ("/v1/", "/api/")
# Sessions, form tokens, languages and the like are sync steps, each of which costs an async view
# two changes of thread: together more than the rest of the way to the engine.
STEPS = ["chatsite.accounts.middleware.front_door", "chatsite.api.handler.PublicOnly"]


class ProgramHandler(ASGIHandler):
    """Django with these steps instead of those in the settings."""

    def load_middleware(self, is_async: bool = False) -> None:
        # Django's handler reads them from nowhere else. It does so once, before anything is served.
        usual, settings.MIDDLEWARE = settings.MIDDLEWARE, STEPS
        try:
            super().load_middleware(is_async)
        finally:
            settings.MIDDLEWARE = usual


class PublicOnly:
    """Nobody is logged in here: a view that needs it is not there. The others ask for a key."""

    async_capable, sync_capable = True, False

    def __init__(self, get_response: Callable[[HttpRequest], Awaitable[HttpResponseBase]]) -> None:
        self._next = get_response
        markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = await self._next(request)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    async def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        if getattr(view, "login_required", True):
            return errors.unknown_address(request.path).to_response()
        return None
