"""What workers and engines say of themselves is there while they say it, and gone soon after."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
import redis

from inference import board, client, duty
from inference.board import EngineState, WorkerState
from inference.duty import Duty

ENGINE = EngineState("one", "m", "ready", running=2, slots=4, figures={"generated_tokens": 7.0})
WORKER = WorkerState("one", "host", 12, "0.3", 2, 1000, 500, ("echo",))


def test_it_works(broker: redis.Redis) -> None:
    board.post(broker, ENGINE)
    board.post(broker, replace(ENGINE, worker="two"))
    board.post(broker, replace(ENGINE, running=3))
    board.greet(broker, WORKER)
    assert client.engines(broker) == [replace(ENGINE, running=3), replace(ENGINE, worker="two")]
    assert client.workers(broker) == [WORKER]
    board.take_down(broker, "two", "m")
    board.part(broker, replace(WORKER, duty="off"))
    assert client.engines(broker) == [replace(ENGINE, running=3)]
    assert client.workers(broker) == []
    (gone,) = client.roster(broker)
    assert (gone.state.duty, gone.lives) == ("off", False)


def test_who_is_silent_is_gone(broker: redis.Redis) -> None:
    board.post(broker, ENGINE)
    board.greet(broker, WORKER)
    assert 0 < broker.ttl("engine:one:m") <= board.STANDS
    broker.zadd(board.WORKERS, {"one": time.time() - board.SEEN - 1, "old": time.time() - 3600})
    broker.delete("engine:one:m")
    assert client.workers(broker) == []
    assert client.engines(broker) == []
    board.greet(broker, WORKER)
    assert broker.zscore(board.WORKERS, "old") is None


@pytest.mark.parametrize("off", [-3600, 3600])
def test_the_clocks_of_an_offices_machines_differ(
    broker: redis.Redis, monkeypatch: pytest.MonkeyPatch, off: int
) -> None:
    board.post(broker, ENGINE)
    board.greet(broker, WORKER)
    here = time.time
    monkeypatch.setattr(time, "time", lambda: here() + off)
    board.greet(broker, replace(WORKER, name="two"))
    assert [each.name for each in client.workers(broker)] == ["one", "two"]
    assert client.engines(broker) == [ENGINE]
    duty.rest(broker, "one", 60)
    mine = Duty("one")
    mine.look(broker)
    assert (mine.rests, mine.hands_over) == (True, False)
    duty.rest(broker, "one", -1)
    mine.look(broker)
    assert mine.hands_over


def test_who_has_gone_is_remembered_until_an_admin_forgets_it(broker: redis.Redis) -> None:
    board.greet(broker, WORKER)
    came = client.roster(broker)[0].joined
    last = time.time() - 3600
    for key in (board.WORKERS, board.KNOWN):
        broker.zadd(key, {"one": last})
    board.greet(broker, replace(WORKER, name="two"))
    one, two = client.roster(broker)
    assert (one.state, one.lives, one.at, one.joined) == (WORKER, False, last, came)
    assert two.lives
    client.forget(broker, "one")
    assert [seen.state.name for seen in client.roster(broker)] == ["two"]
    board.greet(broker, WORKER)
    assert client.roster(broker)[0].joined > came


def test_in_the_end_it_is_forgotten_by_itself(broker: redis.Redis) -> None:
    board.greet(broker, WORKER)
    broker.zadd(board.KNOWN, {"one": time.time() - board.REMEMBERED - 1})
    board.greet(broker, replace(WORKER, name="two"))
    assert [seen.state.name for seen in client.roster(broker)] == ["two"]


def test_another_version_may_say_more_or_less(broker: redis.Redis) -> None:
    board.post(broker, ENGINE)
    said = {"worker": "one", "model": "m", "state": "idle", "news": 1}
    broker.set("engine:one:m", json.dumps(said))
    assert client.engines(broker) == [EngineState("one", "m", "idle")]
