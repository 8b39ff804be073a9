"""Where the site listens and under which addresses people reach it."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

import psutil
from django.conf import settings

from chatsite.hosts import is_loopback
from chatsite.supervisor.trouble import Trouble

BACKLOG = 256


@dataclass(frozen=True, slots=True)
class Listener:
    """The open port. `up` holds it, so that callers wait a moment while the web part is started
    again, instead of being refused."""

    host: str
    port: int
    socket: socket.socket

    def options(self) -> tuple[str, ...]:
        """Daphne can adopt IPv4 sockets only; the others it opens itself."""
        if self.socket.family == socket.AF_INET:
            return ("--fd", str(self.socket.fileno()))
        self.socket.close()
        return ("-b", self.host, "-p", str(self.port))

    def inherited(self) -> tuple[int, ...]:
        return (self.socket.fileno(),) if self.socket.family == socket.AF_INET else ()


def listen(host: str, port: int) -> Listener:
    if not 0 <= port <= 65535:
        raise Trouble("port", f"There is no port {port}. Choose one up to 65535 with --port.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise Trouble(
            "host", f"There is no address {host}. Choose another one with --host."
        ) from None
    family, kind, protocol, _, address = min(found, key=lambda row: row[0] != socket.AF_INET)
    server = socket.socket(family, kind, protocol)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(address)
        server.listen(BACKLOG)
    except OSError as error:
        server.close()
        raise Trouble("port", refusal(host, port, error)) from None
    return Listener(host, port, server)


def refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use by another program.\n"
            f"Choose another one, for example with --port {port + 1 if port < 65535 else 8000}."
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs special rights. Choose one above 1023 with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"This machine has no address {host}. Choose another one with --host."
    return f"{host}:{port} cannot be opened: {error.strerror}."


def others_come(host: str) -> bool:
    """Whether the first who asks may be somebody else: from the network, or through a proxy."""
    return not is_loopback(host) or bool(settings.CHATSITE_PROXIES) or settings.CHATSITE_HTTPS


def reachable(host: str) -> list[str]:
    """The addresses under which others reach this machine, the most likely one first."""
    if host not in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        return [host]
    first = route()
    rest = sorted(
        address.address
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and not is_loopback(address.address)
    )
    return list(dict.fromkeys([*([first] if first else []), *rest])) or ["127.0.0.1"]


def route() -> str:
    """The address of the card towards the outside. Connecting a datagram socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def url(host: str, port: int, path: str = "/") -> str:
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{port}{path}"
