"""Which pages may open the WebSocket: this site's own, asked for by a name that is ours."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from channels.security.websocket import WebsocketDenier
from django.conf import settings
from django.http.request import split_domain_port, validate_host


class SameOrigin:
    """Refuses a handshake whose Origin is not the Host, or whose Host is not one of ours (R18).

    Stricter than a list of hosts: cookies do not tell ports apart, so a page of another program on
    the same machine would come in with the reader's session.
    """

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        inner = self._application if is_own(scope) else WebsocketDenier()
        return await inner(scope, receive, send)


def is_own(scope: dict[str, Any]) -> bool:
    headers = dict(scope.get("headers", ()))
    host = headers.get(b"host", b"").decode("latin-1").lower()
    try:
        origin = urlsplit(headers.get(b"origin", b"").decode("latin-1").lower())
    except ValueError:
        return False
    domain, _ = split_domain_port(host)
    ours = bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)
    # On https a page that came unprotected may be anybody's.
    schemes = {"https"} if scope.get("scheme") == "wss" else {"http", "https"}
    return ours and origin.scheme in schemes and origin.netloc == host
