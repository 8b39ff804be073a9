"""Under which names this site may be asked for: the settings read it. Never a wildcard."""

from __future__ import annotations

import socket
import threading
from ipaddress import ip_address

import psutil
from django.core.exceptions import ImproperlyConfigured

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def known(bind: str, named: list[str]) -> list[str]:
    """Loopback, what the environment names and on a LAN bind the machine's own names."""
    hosts = [*LOOPBACK, *(check(name) for name in named if name.strip())]
    if bind and not is_loopback(bind):
        hosts += [*addresses(), *names()]
    return list(dict.fromkeys(hosts))


def check(name: str) -> str:
    name = name.strip().lower()
    if "*" in name or "/" in name:
        raise ImproperlyConfigured(
            f"CHATSITE_HOSTS takes names and addresses such as chat.example.org, not {name!r}."
        )
    # People copy what the address bar shows, and that has the port in it.
    host, colon, port = name.rpartition(":")
    return host if colon and port.isdigit() and (":" not in host or "]" in host) else name


def is_loopback(bind: str) -> bool:
    if bind == "localhost":
        return True
    try:
        return ip_address(bind.strip("[]")).is_loopback
    except ValueError:
        return False


def addresses() -> list[str]:
    """What this machine's network cards answer to; IPv6 in brackets, as a Host header has it."""
    found = []
    for cards in psutil.net_if_addrs().values():
        for card in cards:
            if card.family == socket.AF_INET:
                found.append(card.address)
            elif card.family == socket.AF_INET6 and "%" not in card.address:
                found.append(f"[{card.address}]")
    return found


def names() -> list[str]:
    short = socket.gethostname().lower()
    return [short, full_name() or short, f"{short.split('.')[0]}.local"]


def full_name() -> str:
    """What the name service calls this machine. Without internet it may not answer for many
    seconds, and the site would start so much later: it is asked beside and not waited for long."""
    answer: list[str] = []
    asking = threading.Thread(target=lambda: answer.append(socket.getfqdn()), daemon=True)
    asking.start()
    asking.join(1)
    return answer[0].lower() if answer else ""
