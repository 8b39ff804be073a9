"""The parts of the running product: with which command each is started and when it is ready."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from chatsite.supervisor import broker
from chatsite.supervisor.address import Listener


@dataclass(frozen=True, slots=True)
class Part:
    """`ready` is asked until it says yes; `grace` is the time to end by itself, in seconds."""

    name: str
    command: tuple[str, ...]
    ready: Callable[[float], bool]
    grace: float = 5.0
    inherited: tuple[int, ...] = ()


def valkey(data: Path, socket: Path) -> Part:
    url = f"unix://{socket}"
    return Part("valkey", broker.command(data, socket), lambda _: broker.answers(url))


def worker(redis_url: str) -> Part:
    return Part("worker", worker_command(), lambda since: broker.has_worker(redis_url, since))


def web(listener: Listener) -> Part:
    host = "127.0.0.1" if listener.host in {"0.0.0.0", "::"} else listener.host  # noqa: S104
    return Part(
        "web",
        web_command(*listener.options()),
        lambda _: responds(host, listener.port),
        inherited=listener.inherited(),
    )


def steward(manage: Path) -> Part:
    """Nothing waits for it, so it counts as ready when it has stayed alive for a moment."""
    command = (sys.executable, str(manage), "steward")
    return Part("steward", command, lambda since: time.time() - since > 1)


def web_command(*listens: str) -> tuple[str, ...]:
    # No log of requests: words that are searched for and tokens stand in addresses.
    options = ("--no-server-name", "--application-close-timeout", "2", "--verbosity", "0")
    daphne = (sys.executable, "-m", "daphne", *options)
    return (*daphne, *listens, "chatsite.asgi:application")


def worker_command() -> tuple[str, ...]:
    """No pool, since a ring is over at once: whoever works is a thread or a process of its own. The
    rest switches off what talks to other workers, of which an engine room has no need."""
    quiet = ("--without-gossip", "--without-mingle", "--without-heartbeat")
    pool = ("--pool=solo", "--queues=inference")
    app = (sys.executable, "-m", "celery", "-A", "inference.worker", "worker")
    return (*app, *pool, *quiet, "--loglevel=INFO")


def responds(host: str, port: int) -> bool:
    name = f"[{host}]" if ":" in host else host
    try:
        with urlopen(f"http://{name}:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False
