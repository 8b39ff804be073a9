"""The web process: Django for pages, Channels for the WebSocket."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import SessionMiddlewareStack
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chatsite.settings")
pages = get_asgi_application()

# Only now: these need the models.
from chatsite.chat.consumers import ChatConsumer  # noqa: E402
from chatsite.chat.origin import SameOrigin  # noqa: E402

sockets = URLRouter([path("ws/", ChatConsumer.as_asgi())])
application = ProtocolTypeRouter(
    {"http": pages, "websocket": SameOrigin(SessionMiddlewareStack(sockets))}
)
