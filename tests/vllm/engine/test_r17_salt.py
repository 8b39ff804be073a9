"""R17: what was computed for one user is never of use to another."""

from __future__ import annotations

from dataclasses import replace

from inference.contract import Message
from tests.vllm.engine.driving import GREEDY, Driver

SECRET = (Message("user", "The secret is forty-two and nobody else may know it. " * 30),)
SHORT = replace(GREEDY, max_tokens=1)


def cached(tiny: Driver, user: str) -> int:
    return int(tiny.ask(SHORT, SECRET, user=user).end.stats["cached_tokens"])


def test_it_works(tiny: Driver) -> None:
    assert cached(tiny, "alice") == 0
    assert cached(tiny, "alice") >= 128


def test_r17_another_user_finds_nothing(tiny: Driver) -> None:
    cached(tiny, "alice")
    for user in ("bob", "Alice", "alice ", ""):
        assert cached(tiny, user) == 0
    assert cached(tiny, "alice") >= 128
