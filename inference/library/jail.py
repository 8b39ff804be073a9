"""What the process that first loads a stranger's file may not do: open a connection, start a
program, write a file, take more memory or time than the file explains. It confines itself alone."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import platform
import resource
import signal
import struct
from dataclasses import dataclass

# prctl's number; seccomp's operation, its flag for all threads of the process, its answers.
NO_NEW_PRIVS = 38
SET_FILTER, ALL_THREADS = 1, 1
KILL, ERRNO, ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
# Where a call's number and the architecture stand for the filter, and the filter's own codes.
NUMBER, ARCHITECTURE = 0, 4
LOAD, EQUAL, AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
# What is refused. Sockets of any kind: who has none cannot connect one. io_uring makes them beside
# the calls; ptrace reaches into others; execve starts them.
CALLS = """
socket 41 198, connect 42 203, accept 43 202, bind 49 200, listen 50 201, socketpair 53 199,
execve 59 221, ptrace 101 117, accept4 288 242, execveat 322 281, io_uring_setup 425 425
"""
NUMBERS = [row.split()[1:] for row in CALLS.split(",")]
# Architecture, the number of seccomp itself, the numbers of what is refused.
MACHINES = {
    "x86_64": (0xC000003E, 317, sorted(int(x86) for x86, _ in NUMBERS)),
    "aarch64": (0xC00000B7, 277, sorted(int(arm) for _, arm in NUMBERS)),
}
# Where x86 has a second numbering of the same calls.
OTHER_NUMBERS = 0x40000000


@dataclass(frozen=True, slots=True)
class Bounds:
    """`memory`: bytes beside what the process has taken; `computing`: seconds of a processor."""

    memory: int
    computing: int


def confine(bounds: Bounds) -> list[str]:
    """Confine this process for good; the names of the defences that this system let us raise."""
    applied = [name for name, raise_it in _limits(bounds).items() if raise_it]
    if _forbid_calls():
        applied.append("no_network")
    return applied


def _limits(bounds: Bounds) -> dict[str, bool]:
    # A write beyond the limit fails instead of ending the process: it says why.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    return {
        "no_core": _limit(resource.RLIMIT_CORE, 0),
        "no_files": _limit(resource.RLIMIT_FSIZE, 0),
        "computing": _limit(resource.RLIMIT_CPU, bounds.computing),
        "memory": _limit(resource.RLIMIT_AS, _mapped() + bounds.memory),
    }


def _limit(what: int, value: int) -> bool:
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (value, value))
        return True
    return False


def _mapped() -> int:
    """Bytes of addresses that this process has taken."""
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123 - nothing more is imported in here
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 4 << 30


def _forbid_calls() -> bool:
    """A seccomp filter: these calls fail with EPERM, in every thread that there is and will be."""
    known = MACHINES.get(platform.machine())
    if known is None:
        return False
    architecture, seccomp, refused = known
    try:
        library = ctypes.CDLL(None, use_errno=True)
        prctl, syscall = library.prctl, library.syscall
    except (AttributeError, OSError):
        return False
    code = _filter(architecture, refused)
    program = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(program))
    if prctl(NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    told = ctypes.create_string_buffer(head, len(head))
    return bool(syscall(seccomp, SET_FILTER, ALL_THREADS, told) == 0)


def _filter(architecture: int, refused: list[int]) -> bytes:
    """The program in the kernel's form, 8 bytes a line: code, two jumps by the answer, value."""
    lines = [
        (LOAD, 0, 0, ARCHITECTURE),
        # Another architecture has other numbers for the same calls.
        (EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (AT_LEAST, len(refused) + 1, 0, OTHER_NUMBERS),
        *((EQUAL, len(refused) - place, 0, number) for place, number in enumerate(refused)),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, ERRNO | errno.EPERM),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
