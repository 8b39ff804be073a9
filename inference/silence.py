"""How long connections to Redis bear silence. A network that fails ends no connection: what is sent
vanishes, and who waits without a limit waits for ever."""

from __future__ import annotations

import socket
from typing import Any

# Seconds until a call that is not answered has failed, and until a connection that is begun has.
PATIENCE, BEGIN = 5, 2
# Where nothing is said the system asks the other end: after so many idle seconds, with that many
# between two questions, of which so many may stay without an answer.
IDLE, PAUSE, TRIES = 5, 2, 3
# Seconds between two looks at the connection over which a worker hears rings.
LOOK = 3


def options(url: str) -> dict[str, Any]:
    """For redis-py, the asynchronous one too. A socket of this machine needs no questions."""
    patience: dict[str, Any] = {"socket_timeout": PATIENCE}
    if url.startswith("unix:"):
        return patience
    return {**patience, "socket_connect_timeout": BEGIN, "socket_keepalive_options": questions()}


def transport() -> dict[str, Any]:
    """For Celery's transport in a worker; it leaves away what a socket has no use for."""
    return {
        "socket_timeout": PATIENCE,
        "socket_connect_timeout": BEGIN,
        "socket_keepalive": True,
        "socket_keepalive_options": questions(),
        "health_check_interval": LOOK,
    }


def ringing() -> dict[str, Any]:
    """For who rings: without tries of the transport's own, of which nobody would know an end."""
    return {**transport(), "max_retries": 0}


def questions() -> dict[int, int]:
    """By the system's names: not each has all of them."""
    named = {"TCP_KEEPIDLE": IDLE, "TCP_KEEPINTVL": PAUSE, "TCP_KEEPCNT": TRIES}
    return {getattr(socket, name): n for name, n in named.items() if hasattr(socket, name)}
