"""Machines with a network address each, on this one: network namespaces round a router, all of them
gone when the test is. A machine that is cut off sends and gets nothing, and nobody is told so."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.lacking import lack

# Between private networks that people use; each run of tests has a block of its own in it.
BLOCK = "10.213"


@dataclass(frozen=True, slots=True)
class Machine:
    """`prefix` before a command runs it there."""

    name: str
    space: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self.space)


class Network:
    """`here` is the address of the tests' own process, which sees all machines."""

    def __init__(self) -> None:
        # Two test processes of one machine must not meet.
        self._mark = f"{os.getpid() % 100000:05}"
        self._first = os.getpid() % 8 * 32
        self._router = f"cs{self._mark}-router"
        self._spaces = [self._router]
        self.here = self._place(0, 2)

    def open(self) -> None:
        ip("netns", "add", self._router)
        self._in_router("link", "set", "lo", "up")
        forward = "echo 1 > /proc/sys/net/ipv4/ip_forward"
        ip("netns", "exec", self._router, "sh", "-c", forward)
        self._wire(0, str(os.getpid()), f"cs{self._mark}")
        ip("address", "add", f"{self.here}/24", "dev", f"cs{self._mark}")
        ip("link", "set", f"cs{self._mark}", "up")
        for number in range(1, 32):
            ip("route", "add", f"{self._place(number, 0)}/24", "via", self._place(0, 1))

    def machine(self, name: str) -> Machine:
        number = len(self._spaces)
        space = f"cs{self._mark}-{name}"
        self._spaces.append(space)
        ip("netns", "add", space)
        self._wire(number, space, "eth0")
        address = self._place(number, 2)
        inside = ("-n", space)
        ip(*inside, "address", "add", f"{address}/24", "dev", "eth0")
        for link in ("lo", "eth0"):
            ip(*inside, "link", "set", link, "up")
        ip(*inside, "route", "add", "default", "via", self._place(number, 1))
        return Machine(name, space, address)

    @contextmanager
    def without(self, machine: Machine, other: Machine | None = None) -> Iterator[None]:
        """What goes there and what comes from there vanishes (between two, or all of it);
        connections do not end, they hang."""
        one, two = machine.address, other.address if other else "0.0.0.0/0"
        rules = [("from", one, "to", two), ("from", two, "to", one)]
        for rule in rules:
            self._in_router("rule", "add", *rule, "blackhole")
        try:
            yield
        finally:
            for rule in rules:
                self._in_router("rule", "delete", *rule, "blackhole")

    def close(self) -> None:
        with suppress(subprocess.CalledProcessError):
            ip("link", "delete", f"cs{self._mark}")
        for space in reversed(self._spaces):
            with suppress(subprocess.CalledProcessError):
                ip("netns", "delete", space)

    def _place(self, number: int, last: int) -> str:
        return f"{BLOCK}.{self._first + number}.{last}"

    def _wire(self, number: int, space: str, name: str) -> None:
        """From the router to a machine; the router's end has the network's first address."""
        port = f"port{number}"
        wire = ("link", "add", port, "type", "veth", "peer", "name", name, "netns", space)
        self._in_router(*wire)
        self._in_router("address", "add", f"{self._place(number, 1)}/24", "dev", port)
        self._in_router("link", "set", port, "up")

    def _in_router(self, *words: str) -> None:
        ip("-n", self._router, *words)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextmanager
def network() -> Iterator[Network]:
    """Where it is not permitted, the test says so; where tests have to be whole, it fails."""
    if os.geteuid() or shutil.which("ip") is None:
        lack("Network namespaces need root and the program `ip`.")
    made = Network()
    try:
        try:
            made.open()
        except subprocess.CalledProcessError as error:
            lack(f"Network namespaces are not permitted here: {error.stderr.strip()}")
        yield made
    finally:
        made.close()
