"""The processes that vLLM starts: they end with the one that has started them, however it ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

import psutil

PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Called in a child: the system ends it when the thread that started it does."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It was too late.
        os._exit(1)


def memory() -> int:
    """Bytes that this process and all below it have in memory."""
    found = 0
    with contextlib.suppress(psutil.Error):
        me = psutil.Process()
        for process in (me, *me.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                found += process.memory_info().rss
    return found
