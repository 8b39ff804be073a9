"""The web process: Django for pages, Channels for the WebSocket."""

from __future__ import annotations

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import SessionMiddlewareStack
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
pages = get_asgi_application()

# Only now: these need the models, and daphne its reactor.
from daphne import http_protocol, server  # noqa: E402
from daphne.ws_protocol import WebSocketFactory  # noqa: E402

from chatsite.api.handler import PATHS, ProgramHandler  # noqa: E402
from chatsite.api.threads import FewThreads  # noqa: E402
from chatsite.chat.consumers import ChatConsumer  # noqa: E402
from chatsite.chat.origin import SameOrigin  # noqa: E402
from chatsite.proxies import Forwarded  # noqa: E402
from chatsite.wire import BoundedRequest  # noqa: E402


class SmallFrames(WebSocketFactory):  # type: ignore[misc]
    """Refuses a big frame while it comes; else one of a gigabyte would be kept until its end."""

    def resetProtocolOptions(self) -> None:  # noqa: N802 - the name is autobahn's
        super().resetProtocolOptions()
        self.maxFramePayloadSize = self.maxMessagePayloadSize = 64 << 10


# daphne has no options for them; it makes its factories after it has read this module.
server.WebSocketFactory = SmallFrames
http_protocol.WebRequest = BoundedRequest

programs = FewThreads(ProgramHandler())
sockets = URLRouter([path("ws/", ChatConsumer.as_asgi())])


async def http(scope: dict[str, Any], receive: Any, send: Any) -> Any:
    answers = programs if scope["path"].startswith(PATHS) else pages
    return await answers(scope, receive, send)


application = Forwarded(
    ProtocolTypeRouter({"http": http, "websocket": SameOrigin(SessionMiddlewareStack(sockets))}),
    settings.CHATSITE_PROXIES,
    https=settings.CHATSITE_HTTPS,
)
