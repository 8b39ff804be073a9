"""What is wrong with the Redis of REDIS_URL or the database of DATABASE_URL, in one line that never
repeats a password."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

import redis
from django.db import connection
from django.db.utils import DatabaseError
from redis.backoff import NoBackoff
from redis.retry import Retry

from chatsite import databases
from chatsite.supervisor.trouble import Trouble

WHERE = "the address in REDIS_URL"
FORM = (
    "REDIS_URL must be redis://:password@host:6379/0, rediss://… for TLS, or unix:///path, with "
    "special characters of the password percent-encoded (@ is %40, / is %2F, # is %23)."
)
PATIENCE = 5
ONCE = Retry(NoBackoff(), 0)
NO_TLS = "no tls"
# Signs in what redis-py says, and what they mean.
ADVICE = (
    ("certificate verify failed", "Redis's certificate is refused: set ?ssl_ca_certs=/path/ca.pem"),
    (NO_TLS, "Redis speaks no TLS there: redis:// instead of rediss://"),
    ("certificate required", "Redis wants a certificate: set ?ssl_certfile=…&ssl_keyfile=…"),
    ("no such file", "A file or socket that is named is not there: look at"),
    ("called without any password", "Redis has no password for this user: leave it out of"),
    (
        "closed by server",
        "Redis hangs up, perhaps since it wants TLS: rediss:// instead of redis://",
    ),
    ("reset by peer", "Redis hangs up, perhaps since it wants TLS: rediss:// instead of redis://"),
    ("name or service not known", "There is no host of the name in"),
    ("name resolution", "There is no host of the name in"),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """`passing`: a Redis that starts later mends it, nobody has to set anything."""

    text: str
    passing: bool


def broker_fault(url: str) -> Fault | None:
    """None where it answers."""
    if not is_whole(url):
        return Fault(FORM, passing=False)
    try:
        with redis.Redis.from_url(
            url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=ONCE
        ) as client:
            client.ping()
    except redis.AuthenticationError:
        return Fault(f"Redis refuses user or password of {WHERE}.", passing=False)
    except redis.BusyLoadingError:
        return Fault(f"The Redis at {WHERE} is still reading its file.", passing=True)
    except (redis.RedisError, OSError) as error:
        return interpret(NO_TLS if speaks_plain(url) else str(error))
    except ValueError:
        # Not its own words: they repeat what stands where the port should be.
        return Fault(FORM, passing=False)
    return None


def is_whole(url: str) -> bool:
    """A sign of the password that is not encoded ends the host, and what follows is no number."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is read as a number only now
    except ValueError:
        return False
    database = parts.path.strip("/") or "0"
    return not parts.fragment and (parts.scheme == "unix" or database.isdigit())


def interpret(told: str) -> Fault:
    lower = told.lower()
    for sign, advice in ADVICE:
        if sign in lower:
            where = WHERE if advice.endswith(("in", "of", "at")) else "in REDIS_URL"
            return Fault(f"{advice} {where}.", passing="name" in sign)
    return Fault(f"No Redis answers at {WHERE}.", passing=True)


def speaks_plain(url: str) -> bool:
    """Whether there is no TLS where the address says so: such a Redis says nothing to a greeting
    that it does not understand, and waits for its end."""
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return False
    try:
        place = (parts.hostname or "localhost", parts.port or 6379)
        with socket.create_connection(place, PATIENCE) as plain:
            plain.settimeout(PATIENCE)
            plain.sendall(b"PING\r\n")
            return plain.recv(1) in {b"+", b"-"}
    except OSError:
        return False


def check_broker(url: str) -> None:
    fault = broker_fault(url)
    if fault:
        raise Trouble("broker", fault.text)


def check_database() -> None:
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        raise Trouble("database", databases.trouble(error)) from error
