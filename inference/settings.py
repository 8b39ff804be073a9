"""The engine room's settings, read from the environment once. A worker needs Redis and nothing
else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from inference.places import data_dir


@dataclass(frozen=True, slots=True)
class Settings:
    """`redis_url` in redis-py's form: redis://, rediss:// or unix:///path."""

    redis_url: str
    data_dir: Path
    # How long a worker may be silent before its generations are given to another.
    lease_ms: int = 5000
    # A child that makes no step for this long (or 50 times its slowest step) is taken for hung.
    hang_s: float = 60.0
    # Loading may be silent for longer: a big file comes from a slow disk.
    load_hang_s: float = 600.0
    # How often a generation may lose its engine without one new token before it is given up.
    attempts: int = 5
    # An idle engine child is ended after this time, in seconds; 0 keeps it.
    idle_s: float = 900.0
    # Memory for all models together, in bytes; 0: what is really free.
    memory_bytes: int = 0
    # Sequences at once of each model; 0: as many as the memory allows.
    slots: int = 0
    # Bytes on disk for the computed conversations of each model; None: by what is free there.
    kv_disk_bytes: int | None = None
    # How long a model may be kept in memory by steady use while another one waits for its place.
    turn_s: float = 60.0
    # Where other workers of the site get models from this one: the address (""; that by which it
    # reaches Redis), the port (0: any, None: nowhere), bytes per second (0: no limit). And as what
    # they are told to ask for, where that is another (host:port; "": the same).
    node_address: str = ""
    node_host: str = ""
    node_port: int | None = 0
    node_rate: int = 0

    @property
    def broker_url(self) -> str:
        return broker_url(self.redis_url)


def broker_url(redis_url: str) -> str:
    """The same server in the form that Celery wants: sockets are redis+socket:///path."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return _by_port(parts)
    query = parts.query.replace("db=", "virtual_host=")
    # Not urlunsplit: it leaves the two slashes away for schemes that it does not know.
    return f"redis+socket://{parts.netloc}{parts.path}" + (f"?{query}" if query else "")


def _by_port(parts: SplitResult) -> str:
    """Celery takes the database from the path alone, and trusts any certificate unless told."""
    given = dict(parse_qsl(parts.query))
    kept = {name: value for name, value in given.items() if name.startswith("ssl_")}
    if parts.scheme == "rediss":
        kept.setdefault("ssl_cert_reqs", "required")
    path = f"/{given['db']}" if "db" in given else parts.path
    return parts._replace(path=path, query=urlencode(kept)).geturl()


def read(environ: dict[str, str] | os._Environ[str]) -> Settings:
    """Settings from the environment; a missing REDIS_URL or a bad number raises ValueError."""
    url = environ.get("REDIS_URL", "")
    if urlsplit(url).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("REDIS_URL must be redis://…, rediss://… or unix:///path/to/socket.")
    return Settings(
        redis_url=url,
        data_dir=data_dir(environ),
        lease_ms=_number(environ, "CHATSITE_LEASE_MS", 5000),
        hang_s=hang_s(environ),
        idle_s=_number(environ, "CHATSITE_IDLE_SECONDS", 900),
        memory_bytes=_number(environ, "CHATSITE_MEMORY_BYTES", 0),
        slots=_number(environ, "CHATSITE_SLOTS", 0),
        kv_disk_bytes=(
            _number(environ, "CHATSITE_KV_DISK_BYTES", 0)
            if environ.get("CHATSITE_KV_DISK_BYTES")
            else None
        ),
        turn_s=_number(environ, "CHATSITE_TURN_SECONDS", 60),
        node_address=environ.get("CHATSITE_NODE_ADDRESS", ""),
        node_host=environ.get("CHATSITE_NODE_HOST", ""),
        node_port=(
            None
            if environ.get("CHATSITE_NODE_PORT") == "off"
            else _number(environ, "CHATSITE_NODE_PORT", 0)
        ),
        node_rate=_number(environ, "CHATSITE_NODE_BYTES_PER_SECOND", 0),
    )


def hang_s(environ: dict[str, str] | os._Environ[str] = os.environ) -> float:
    """What an engine itself may need to know: it has no other settings."""
    return float(_number(environ, "CHATSITE_HANG_SECONDS", 60))


@cache
def current() -> Settings:
    return read(os.environ)


def _number(environ: dict[str, str] | os._Environ[str], name: str, default: int) -> int:
    text = environ.get(name, "") or str(default)
    if not text.isdigit():
        raise ValueError(f"{name} must be a whole number, not {text!r}.")
    return int(text)
