"""What all processes together use with no model loaded: memory of their own and their share."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
import pytest

from tests.live import Site

pytestmark = pytest.mark.live

GOAL = 350


def test_it_works(new_site: Callable[..., Site]) -> None:
    """On a product of its own: what others asked of theirs stays in its caches."""
    site = new_site()
    for path in ("/login", "/healthz"):
        site.guest().get(path)
    time.sleep(2)
    assert site.up is not None
    processes = [psutil.Process(site.up.pid), *site.processes()]
    engines = set(site.engines())
    figures = {
        name(process): process.memory_full_info().pss / 1e6
        for process in processes
        if process.pid not in engines
    }
    total = sum(figures.values())
    parts = ", ".join(f"{key} {value:.0f}" for key, value in figures.items())
    print(f"\nall processes, no model loaded: {total:.0f} MB (goal {GOAL} MB): {parts}")
    assert total < GOAL


def name(process: psutil.Process) -> str:
    words = " ".join(process.cmdline())
    parts = ("manage.py up", "daphne", "celery", "steward", "valkey-server")
    return next((part for part in parts if part in words), words) + f" ({process.pid})"
