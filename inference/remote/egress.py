"""Where this product may connect to: one parser, one look-up, one judgement, and the connection to
what was judged. It follows nothing and knows no proxy."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from inference.remote.troubles import Trouble

Address = IPv4Address | IPv6Address
PORTS = {"http": 80, "https": 443}
NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
PATH = re.compile(r"(?:/[A-Za-z0-9._~+:-]+)*/?")
# What machines in a cloud tell of themselves, and what is no machine's address: not even inside.
NEVER = tuple(
    ip_network(each)
    for each in (
        "169.254.0.0/16", "fd00:ec2::254/128", "fd20:ce::254/128", "100.100.100.200/32",
        "192.0.0.192/32", "168.63.129.16/32", "0.0.0.0/8", "::/128", "224.0.0.0/4", "ff00::/8",
        "240.0.0.0/4",
    )
)  # fmt: skip
# Forms of IPv6 that carry an IPv4 address: where it stands in them, in bits from the right.
CARRIERS = tuple(
    (ip_network(net), shift)
    for net, shift in (
        ("::ffff:0:0/96", 0), ("::ffff:0:0:0/96", 0), ("64:ff9b::/96", 0), ("64:ff9b:1::/48", 0),
        ("::/96", 0), ("2002::/16", 80),
    )
)  # fmt: skip
# Its lower half is another address, turned around bit by bit.
TEREDO = ip_network("2001::/32")
# After half a minute of silence the system asks whether the other side still lives.
KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}


@dataclass(frozen=True, slots=True)
class Base:
    """The one place that an admin named."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = PORTS[self.scheme] == self.port
        return f"{self.scheme}://{host}" + ("" if usual else f":{self.port}")

    @property
    def url(self) -> str:
        return self.origin + self.path


def parse(url: str) -> Base:
    """The parts of a base URL; Trouble `remote_address` for whatever is more than those."""
    if not url.isprintable() or any(char in url for char in "\\ ?#@") or len(url) > 500:
        raise Trouble("remote_address")
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        raise Trouble("remote_address") from None
    if scheme not in PORTS or port == 0 or not PATH.fullmatch(parts.path):
        raise Trouble("remote_address")
    if any(step in {".", ".."} for step in parts.path.split("/")):
        raise Trouble("remote_address")
    return Base(scheme, _host(host), port or PORTS[scheme], parts.path.rstrip("/"))


def _host(host: str) -> str:
    """A name or an address in its one usual form: no zone, no number in another base."""
    with contextlib.suppress(ValueError):
        found = ip_address(host)
        if getattr(found, "scope_id", None) is None:
            return str(found)
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        raise Trouble("remote_address") from None
    last = name.rstrip(".").rpartition(".")[2]
    # 127.1, 0x7f000001 and 2130706433 are addresses to the system's resolver.
    if not NAME.fullmatch(name) or last.isdigit() or last.startswith("0x"):
        raise Trouble("remote_address")
    return name


def judge(base: Base, address: Address, *, inside: bool) -> bool:
    """Whether this address is one that the admin meant. `inside`: the provider is in our own
    network; then plain http will do, too."""
    carried = _carried(address)
    if any(each in net for each in (address, *carried) for net in NEVER):
        return False
    if inside:
        return True
    return base.scheme == "https" and all(map(_public, (address, *carried)))


def _public(address: Address) -> bool:
    # The predecessor of private addresses in IPv6 counts as global to the standard library.
    return address.is_global and not getattr(address, "is_site_local", False)


def _carried(address: Address) -> list[Address]:
    """The IPv4 addresses that an IPv6 one may lead to."""
    if not isinstance(address, IPv6Address):
        return []
    found: list[Address] = [
        IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
        for net, shift in CARRIERS
        # ::1 lies in the old form ::/96 and is itself.
        if address in net and not address.is_loopback and not address.is_unspecified
    ]
    if address in TEREDO:
        found.append(IPv4Address(~int(address) & 0xFFFFFFFF))
        found.append(IPv4Address((int(address) >> 64) & 0xFFFFFFFF))
    return found


def resolve(base: Base, *, inside: bool) -> list[str]:
    """The addresses of the host, looked up once. All have to be permitted: who answers with both
    kinds is not to be trusted with the choice."""
    try:
        found = socket.getaddrinfo(base.host, base.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Trouble("remote_unreachable") from None
    addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
    for each in addresses:
        try:
            permitted = judge(base, ip_address(each), inside=inside)
        except ValueError:
            permitted = False
        if not permitted:
            raise Trouble("remote_blocked")
    return addresses


def connect(base: Base, *, inside: bool, timeout: float) -> socket.socket:
    """A connection to an address that was judged; with TLS, to who proves to be the host."""
    for address in resolve(base, inside=inside):
        with contextlib.suppress(OSError):
            plain = socket.create_connection((address, base.port), timeout)
            break
    else:
        raise Trouble("remote_unreachable")
    _keep_alive(plain)
    if base.scheme == "http":
        return plain
    try:
        return trust().wrap_socket(plain, server_hostname=base.host.rstrip("."))
    except ssl.SSLCertVerificationError:
        plain.close()
        raise Trouble("remote_untrusted") from None
    except OSError:
        plain.close()
        raise Trouble("remote_unreachable") from None


def _keep_alive(plain: socket.socket) -> None:
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            plain.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


@cache
def trust() -> ssl.SSLContext:
    """The system's certificates, or those of SSL_CERT_FILE; reading them takes a while."""
    return ssl.create_default_context()
