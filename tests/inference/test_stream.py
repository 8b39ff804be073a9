"""The log: each position once, nothing from a writer that lost its claim, one end."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis

from inference import lease, stream
from inference.contract import Finish, Progress, Tokens
from tests.inference.logs import MODEL, ends, entries, request, status, token, tokens


def begin(client: redis.Redis, id: str = "a") -> int:
    """A new generation, claimed; its fence."""
    assert stream.create(client, request(id))
    claim = lease.claim(client, MODEL, 60_000)
    assert claim
    assert claim.id == id
    return claim.fence


def test_it_works(broker: redis.Redis) -> None:
    fence = begin(broker)
    assert stream.report(broker, fence, Progress("a", "reading", 0.5)) == 0
    assert stream.append(broker, [(fence, token("a", 1))]) == [0]
    event = Tokens("a", 3, (20, 30), "你", "thinking")
    assert stream.append(broker, [(fence, event)]) == [0]
    finish = Finish("a", "stop", "rest", "held", None, {"prompt_tokens": 9})
    assert stream.finish(broker, fence, finish) == 0

    first, phase, one, two, last = entries(broker, "a")
    assert first.request is not None
    assert stream.load(broker, "a").request == request("a")
    assert (phase.position, phase.phase, phase.fraction) == (0, "reading", 0.5)
    assert (one.position, one.tokens, one.text) == (1, (1,), "1 ")
    assert (two.position, two.tokens, two.text, two.reasoning) == (3, (20, 30), "你", "thinking")
    assert last.end is not None
    assert last.end.finish == finish
    assert last.position == 3
    assert last.end.stats["completion_tokens"] == 3
    assert last.end.stats["prompt_tokens"] == 9
    assert stream.load(broker, "a").tokens == [1, 20, 30]
    assert stream.load(broker, "a").ended


def test_creating_twice_makes_one(broker: redis.Redis) -> None:
    assert stream.create(broker, request("a"))
    assert not stream.create(broker, request("a"))
    assert len(entries(broker, "a")) == 1
    assert broker.zcard(f"waiting:{MODEL}") == 1


def test_a_repeat_is_harmless(broker: redis.Redis) -> None:
    fence = begin(broker)
    for _ in range(3):
        assert stream.append(broker, [(fence, token("a", 1)), (fence, token("a", 2))]) == [0, 0]
    assert tokens(broker, "a") == [1, 2]


def test_a_gap_is_refused(broker: redis.Redis) -> None:
    fence = begin(broker)
    stream.append(broker, [(fence, token("a", 1))])
    for event in (token("a", 3), token("a", 9, 2), token("a", 3, 3)):
        with pytest.raises(redis.ResponseError, match="GAP"):
            stream.append(broker, [(fence, event)])
    assert tokens(broker, "a") == [1]


def test_a_late_writer_is_refused(broker: redis.Redis) -> None:
    old = begin(broker)
    stream.append(broker, [(old, token("a", 1))])
    lease.release(broker, "a", old)
    for fence in (old, old + 1):
        assert stream.append(broker, [(fence, token("a", 2))]) == [-1]
        assert stream.report(broker, fence, Progress("a", "reading")) == -1
        assert stream.finish(broker, fence, Finish("a", "stop")) == -1
    claim = lease.claim(broker, MODEL, 60_000)
    assert claim
    assert stream.append(broker, [(old, token("a", 2)), (claim.fence, token("a", 2))]) == [-1, 0]
    assert stream.finish(broker, old, Finish("a", "error")) == -1
    assert stream.finish(broker, claim.fence, Finish("a", "stop")) == 0
    assert tokens(broker, "a") == [1, 2]
    assert [end.finish.reason for end in ends(broker, "a")] == ["stop"]


def test_it_ends_once(broker: redis.Redis) -> None:
    fence = begin(broker)
    for reason in ("stop", "cancelled", "error"):
        assert stream.finish(broker, fence, Finish("a", reason)) == 0
    assert [end.finish.reason for end in ends(broker, "a")] == ["stop"]
    assert stream.append(broker, [(fence, token("a", 1))]) == [-1]
    assert broker.zcard("leases") == 0


def test_the_times_are_the_logs_own(broker: redis.Redis) -> None:
    fence = begin(broker)
    time.sleep(0.05)
    stream.append(broker, [(fence, token("a", 1))])
    time.sleep(0.1)
    stream.append(broker, [(fence, token("a", 11, 10))])
    stream.finish(broker, fence, Finish("a", "stop"))
    (end,) = ends(broker, "a")
    assert 40 <= end.stats["first_token_ms"] < 1000
    assert 5 < end.stats["tokens_per_second"] < 110


def test_an_end_without_tokens_has_no_speed(broker: redis.Redis) -> None:
    stream.finish(broker, begin(broker), Finish("a", "error", error={"kind": "model_load_failed"}))
    (end,) = ends(broker, "a")
    assert end.stats == {"completion_tokens": 0}


def test_a_stop_is_heard_by_the_next_write(broker: redis.Redis) -> None:
    fence = begin(broker)
    assert lease.cancel(broker, "a", "{}") == MODEL
    assert stream.append(broker, [(fence, token("a", 1))]) == [1]
    assert stream.report(broker, fence, Progress("a", "writing")) == 1


def put_back(client: redis.Redis, position: int, fence: int = 0, *, late: bool = False) -> bool:
    ids = list(range(1, position + 1))
    text = "".join(f"{n} " for n in ids)
    where: dict[str, Any] = {"position": position, "fence": fence, "tokens": ids, "text": text}
    return stream.restore(client, request("a", late=late), reasoning="", created=1, **where)


def test_what_redis_lost_is_put_back(broker: redis.Redis) -> None:
    assert put_back(broker, 3, fence=5)
    assert tokens(broker, "a") == [1, 2, 3]
    claim = lease.claim(broker, MODEL, 60_000)
    assert claim
    assert claim.fence > 5
    assert stream.load(broker, "a").tokens == [1, 2, 3]
    assert stream.append(broker, [(claim.fence, token("a", 4))]) == [0]


def test_what_was_late_is_put_back_late(broker: redis.Redis) -> None:
    assert put_back(broker, 3, late=True)
    assert tokens(broker, "a") == [1, 2, 3]
    stream.create(broker, request("b"))
    claim = lease.claim(broker, MODEL, 60_000)
    assert claim
    assert claim.id == "b"


def test_a_log_that_knows_more_is_kept(broker: redis.Redis) -> None:
    fence = begin(broker)
    stream.append(broker, [(fence, token("a", 2, 2))])
    assert not put_back(broker, 1)
    assert not put_back(broker, 2)
    assert stream.append(broker, [(fence, token("a", 3))]) == [0]
    assert tokens(broker, "a") == [1, 2, 3]


def test_putting_back_shuts_the_old_writer_out(broker: redis.Redis) -> None:
    fence = begin(broker)
    stream.append(broker, [(fence, token("a", 1))])
    assert put_back(broker, 2, fence)
    assert stream.append(broker, [(fence, token("a", 3))]) == [-1]
    assert status(broker, "a") == "waiting"
    assert broker.zcard("leases") == 0
    claim = lease.claim(broker, MODEL, 60_000)
    assert claim
    assert claim.fence > fence
    assert tokens(broker, "a") == [1, 2]


def test_scripts_survive_a_server_that_forgot_them(broker: redis.Redis) -> None:
    fence = begin(broker)
    broker.script_flush()
    assert stream.append(broker, [(fence, token("a", 1)), (fence, token("a", 2))]) == [0, 0]
    broker.script_flush()
    assert lease.renew(broker, 1000, [("a", fence)]) == [0]
    broker.script_flush()
    assert stream.finish(broker, fence, Finish("a", "stop")) == 0
    assert tokens(broker, "a") == [1, 2]


def test_an_ended_log_goes(broker: redis.Redis) -> None:
    stream.finish(broker, begin(broker), Finish("a", "stop"))
    stream.expire(broker, "a")
    assert 0 < int(broker.ttl("gen:a")) <= stream.KEPT_S
    assert 0 < int(broker.ttl("run:a")) <= stream.KEPT_S
