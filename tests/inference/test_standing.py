"""Whose turn it is to load a model, as a worker finds it in Redis."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
import redis

from inference import board, placement, stream
from inference.board import WorkerState
from inference.standing import Turns
from tests.inference.logs import MODEL, request

GIB = 1 << 30
ONE = WorkerState("one", "h", 1, "", 4, 8 * GIB, 4 * GIB, ("echo",))
TASKS = f"{MODEL}:tasks"


def wait(broker: redis.Redis, id: str, queue: str = MODEL) -> None:
    stream.create(broker, request(id))
    broker.zadd(f"waiting:{queue}", {id: 1.0})


def test_it_works(broker: redis.Redis) -> None:
    board.greet(broker, ONE)
    turns = Turns(MODEL, "one")
    assert not turns.is_mine(broker, MODEL)
    wait(broker, "a")
    assert turns.is_mine(broker, MODEL)


def test_each_queue_has_a_time_of_its_own(
    broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both wait for one that is second in line, the looks at one keep no other from it."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for state in (ONE, replace(ONE, name="two")):
        board.greet(broker, state)
    wait(broker, "a")
    wait(broker, "b", TASKS)
    turns = Turns(MODEL, "two")
    looked: list[Any] = []
    for _ in range(1 + int(placement.STEP / 0.5)):
        looked.append([turns.is_mine(broker, queue) for queue in (MODEL, TASKS)])
        clock[0] += 0.5
    assert looked[0] == [False, False]
    assert looked[-1] == [True, True]


def test_what_nobody_waits_for_any_more_is_forgotten(broker: redis.Redis) -> None:
    """A question that was taken back before anybody heard of it."""
    wait(broker, "b", TASKS)
    broker.zadd(f"waiting:{TASKS}", {"gone": 0.0})
    found = placement.look(broker, MODEL, TASKS)
    assert found
    assert (found.first, found.waiting) == ("b", 1)
    stream.remove(broker, "b")
    assert placement.look(broker, MODEL, TASKS) is None
    assert not broker.exists(f"waiting:{TASKS}")
