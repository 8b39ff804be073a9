"""Who asks, and for which host, where a proxy is in between. Only named proxies are believed."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.core.exceptions import ImproperlyConfigured

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Headers = list[tuple[bytes, bytes]]
SECURE = {"http": "https", "websocket": "wss"}
PLAIN = {"http": "http", "websocket": "ws"}
# Marks what came through a named proxy, however little that one tells: nobody behind it is the
# owner of this machine.
MARK = (b"via", b"1.1 proxy")


def named(entries: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks, as the settings have them."""
    return tuple(network(entry.strip()) for entry in entries if entry.strip())


def network(entry: str) -> Network:
    try:
        found = ip_network(entry, strict=False)
    except ValueError:
        found = None
    # With a network of all addresses everybody could claim to be anybody.
    if found is None or found.prefixlen == 0:
        raise ImproperlyConfigured(
            "CHATSITE_PROXIES takes addresses and networks such as 10.0.0.2 or 172.16.0.0/12, "
            f"not {entry!r}."
        )
    return found


class Forwarded:
    """The outermost ASGI application, for pages and sockets alike: puts the visitor's own address,
    scheme and host where the proxy's are. What others claim in such headers changes nothing; it
    stays where it is, and a program on this machine that sends it needs a key (R14, R18)."""

    def __init__(self, application: Any, proxies: Sequence[Network], *, https: bool) -> None:
        self._application, self._proxies, self._https = application, proxies, https

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        if scope["type"] in SECURE:
            scope = self.seen(scope)
        return await self._application(scope, receive, send)

    def seen(self, scope: dict[str, Any]) -> dict[str, Any]:
        # Daphne takes a prefix of all addresses from a header of anybody's.
        scope = {**scope, "root_path": ""}
        chain = hops(scope)
        if chain and self.trusts(chain[-1]):
            scope = self.forwarded(scope, chain)
        if self._https:
            scope["scheme"] = SECURE[scope["type"]]
        return scope

    def forwarded(self, scope: dict[str, Any], chain: list[Address]) -> dict[str, Any]:
        """As the named proxies tell it: the visitor is the last one that is none of them."""
        depth = 1
        while depth < len(chain) and self.trusts(chain[-depth]):
            depth += 1
        told: dict[str, Any] = {
            "client": [str(chain[-depth]), 0],
            "headers": [*scope["headers"], MARK],
        }
        scheme = told_by(scope, b"x-forwarded-proto", depth)
        if scheme:
            secure = scheme.lower() in {b"https", b"wss"}
            told["scheme"] = (SECURE if secure else PLAIN)[scope["type"]]
        host = told_by(scope, b"x-forwarded-host", depth)
        if host:
            told["headers"] = [(b"host", host), *others(told["headers"], b"host")]
        return {**scope, **told}

    def trusts(self, address: Address) -> bool:
        return any(address in network for network in self._proxies)


def hops(scope: dict[str, Any]) -> list[Address]:
    """Through whom it came, the visitor first and who is connected last. A claim that is no
    address ends the chain: what is before it is not known."""
    peer = parse((scope.get("client") or [""])[0])
    if peer is None:
        return []
    chain = [peer]
    for claim in reversed(values(scope, b"x-forwarded-for")):
        address = parse(claim.decode("latin-1"))
        if address is None:
            break
        chain.insert(0, address)
    return chain


def parse(text: str) -> Address | None:
    """An address; some proxies write the port behind it."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def values(scope: dict[str, Any], name: bytes) -> list[bytes]:
    """What all headers of a name list, in their order."""
    lines = b",".join(value for key, value in scope["headers"] if key == name)
    return [part.strip() for part in lines.split(b",") if part.strip()]


def told_by(scope: dict[str, Any], name: bytes, depth: int) -> bytes:
    """Each proxy adds one at the end, or the first alone says it. Of more only the last ones are
    the named proxies'."""
    found = values(scope, name)
    return found[-min(max(depth - 1, 1), len(found))] if found else b""


def others(headers: Headers, name: bytes) -> Headers:
    return [header for header in headers if header[0] != name]
