"""Errands in Redis: one worker has one, a wish is obeyed whoever holds it, nothing gets lost
between two workers."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import redis

from inference.library import ledger
from inference.library.nouns import Errand, ErrandState, FileRef, Hub

KINDS = ("download", "import", "export", "remove")
ONE, TWO, FAR = "here-abc-1", "here-abc-2", "there-def-1"


def errand(id: str = "a", kind: str = "download", **more: Any) -> Errand:
    return Errand(id, kind, **more)


def take(broker: redis.Redis, name: str = ONE, lease_ms: int = 60_000) -> ledger.Claim | None:
    return ledger.claim(broker, name, f"{name}/x", lease_ms, KINDS)


def state(broker: redis.Redis, id: str = "a") -> ErrandState:
    return ledger.states(broker, [id])[id]


def test_it_works(broker: redis.Redis) -> None:
    given = errand(
        repo="o/r", files=(FileRef("a.gguf", 5, "ab"),), hub=Hub(hosts=("h:1",)), about={"x": 1}
    )
    assert ledger.enter(broker, given)
    assert state(broker) == ErrandState("a")
    claim = take(broker)
    assert claim == ledger.Claim(given, 1, 1)
    assert take(broker) is None
    news: dict[str, Any] = {
        "phase": "fetching",
        "file": "a.gguf",
        "done": 3,
        "total": 5,
        "speed": 1.5,
    }
    assert ledger.report(broker, "a", 1, 60_000, news) == ""
    assert state(broker) == ErrandState("a", "running", node=ONE, **news)
    assert ledger.finish(broker, "a", 1, "done", {"error": None, "result": {"folder": "x"}})
    assert state(broker).state == "done"
    assert state(broker).result == {"folder": "x"}
    assert take(broker) is None
    assert not ledger.enter(broker, given)


def test_in_the_order_in_which_they_came(broker: redis.Redis) -> None:
    for id in ("c", "a", "b"):
        ledger.enter(broker, errand(id))
    assert [claim.errand.id for _ in range(3) if (claim := take(broker))] == ["c", "a", "b"]


def test_only_kinds_for_which_there_is_room(broker: redis.Redis) -> None:
    ledger.enter(broker, errand("a"))
    ledger.enter(broker, errand("b", "remove"))
    claim = ledger.claim(broker, ONE, f"{ONE}/x", 60_000, ["remove"])
    assert claim
    assert claim.errand.id == "b"


def test_to_the_machine_that_was_named(broker: redis.Redis) -> None:
    ledger.enter(broker, errand(node=FAR))
    assert take(broker, ONE) is None
    assert take(broker, FAR)


def test_it_stays_where_it_began(broker: redis.Redis) -> None:
    """Its bytes lie there. Another worker of the same data directory has them, too."""
    ledger.enter(broker, errand())
    claim = take(broker)
    assert claim
    ledger.release(broker, "a", claim.fence)
    assert take(broker, FAR) is None
    assert take(broker, TWO)


def test_one_of_many_gets_it(broker: redis.Redis) -> None:
    for number in range(20):
        ledger.enter(broker, errand(str(number)))
    taken: list[str] = []

    def work(name: str) -> None:
        while claim := take(broker, name):
            taken.append(claim.errand.id)

    threads = [threading.Thread(target=work, args=(f"here-abc-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=int) == [str(number) for number in range(20)]


def test_who_is_silent_loses_it(broker: redis.Redis) -> None:
    ledger.enter(broker, errand())
    assert take(broker, ONE, 30)
    time.sleep(0.05)
    assert ledger.lapse(broker) == 1
    again = take(broker, TWO)
    assert again
    assert (again.fence, again.attempts) == (2, 2)
    # The first one wakes up.
    assert ledger.report(broker, "a", 1, 60_000, {"done": 1}) is None
    assert not ledger.finish(broker, "a", 1, "failed")
    assert state(broker).state == "running"


def test_getting_on_counts_the_attempts_anew(broker: redis.Redis) -> None:
    ledger.enter(broker, errand())
    for attempts in (1, 2, 3):
        claim = take(broker)
        assert claim
        assert claim.attempts == attempts
        ledger.release(broker, "a", claim.fence)
    claim = take(broker)
    assert claim
    ledger.report(broker, "a", claim.fence, 60_000, {"done": 10})
    ledger.release(broker, "a", claim.fence)
    for attempts in (1, 2):
        again = take(broker)
        assert again
        assert again.attempts == attempts
        # Looking at what is there already is not getting on.
        for done in (0, 5, 10):
            ledger.report(broker, "a", again.fence, 60_000, {"done": done})
        ledger.release(broker, "a", again.fence)


def test_a_worker_that_starts_again_takes_back_what_it_held(broker: redis.Redis) -> None:
    ledger.enter(broker, errand())
    take(broker)
    assert ledger.orphans(broker, ONE, f"{ONE}/x") == 0
    assert ledger.orphans(broker, "here-abc-11", "here-abc-11/y") == 0
    assert ledger.orphans(broker, ONE, f"{ONE}/y") == 1
    assert take(broker)


@pytest.mark.parametrize("wish", ["pause", "cancel"])
def test_a_wish_reaches_who_holds_it(broker: redis.Redis, wish: str) -> None:
    ledger.enter(broker, errand())
    take(broker)
    assert ledger.wish(broker, "a", wish) == "running"
    assert ledger.report(broker, "a", 1, 60_000, {}) == wish
    # Said in time, it is as if nobody had said it.
    assert ledger.wish(broker, "a", "resume") == "running"
    assert ledger.report(broker, "a", 1, 60_000, {}) == ""


def test_a_pause_of_what_waits(broker: redis.Redis) -> None:
    ledger.enter(broker, errand())
    assert ledger.wish(broker, "a", "pause") == "paused"
    assert take(broker) is None
    assert ledger.wish(broker, "a", "resume") == "waiting"
    assert take(broker)


def test_what_is_resumed_has_its_old_place(broker: redis.Redis) -> None:
    for id in ("a", "b"):
        ledger.enter(broker, errand(id))
    ledger.wish(broker, "a", "pause")
    ledger.wish(broker, "a", "resume")
    claim = take(broker)
    assert claim
    assert claim.errand.id == "a"


@pytest.mark.parametrize(("wish", "then"), [("pause", "paused"), ("cancel", "cancelled")])
def test_a_wish_is_obeyed_when_its_worker_is_dead(
    broker: redis.Redis, wish: str, then: str
) -> None:
    ledger.enter(broker, errand())
    take(broker)
    ledger.wish(broker, "a", wish)
    ledger.orphans(broker, ONE, f"{ONE}/y")
    assert state(broker).state == then
    assert take(broker) is None


def test_what_was_cancelled_leaves_litter_where_it_began(broker: redis.Redis) -> None:
    for id in ("a", "b"):
        ledger.enter(broker, errand(id))
    claim = take(broker)
    assert claim
    ledger.finish(broker, "a", claim.fence, "paused")
    assert ledger.wish(broker, "a", "cancel") == "cancelled"
    assert ledger.wish(broker, "b", "cancel") == "cancelled"
    # Nobody had begun with b.
    assert ledger.litter(broker, TWO) == ["a"]
    assert ledger.litter(broker, FAR) == []
    ledger.swept(broker, ONE, "a")
    assert ledger.litter(broker, ONE) == []


def test_what_failed_begins_again(broker: redis.Redis) -> None:
    ledger.enter(broker, errand())
    claim = take(broker)
    assert claim
    news = {"error": {"kind": "gated"}, "done": 7}
    ledger.finish(broker, "a", claim.fence, "failed", news)
    assert state(broker).error == {"kind": "gated"}
    assert ledger.enter(broker, errand())
    assert state(broker) == ErrandState("a", done=7, node=ONE)
    assert take(broker, FAR) is None
    assert take(broker)


def test_a_cancelled_one_that_begins_again_is_no_litter(broker: redis.Redis) -> None:
    ledger.enter(broker, errand())
    claim = take(broker)
    assert claim
    ledger.finish(broker, "a", claim.fence, "paused")
    ledger.wish(broker, "a", "cancel")
    ledger.enter(broker, errand())
    assert ledger.litter(broker, ONE) == []


def test_what_redis_does_not_know(broker: redis.Redis) -> None:
    assert ledger.states(broker, ["a"]) == {}
    assert ledger.states(broker, []) == {}
    assert ledger.wish(broker, "a", "pause") is None
    assert ledger.report(broker, "a", 1, 60_000, {}) is None
    ledger.release(broker, "a", 1)
    assert ledger.states(broker, ["a"]) == {}


def test_what_has_ended_goes_by_itself(broker: redis.Redis) -> None:
    ledger.enter(broker, errand())
    claim = take(broker)
    assert claim
    assert broker.ttl("errand:a") == -1
    ledger.finish(broker, "a", claim.fence, "done")
    assert 0 < broker.ttl("errand:a") <= ledger.KEPT_S
    ledger.forget(broker, ["a"])
    assert ledger.states(broker, ["a"]) == {}


def test_what_failed_and_is_forgotten_leaves_litter(broker: redis.Redis) -> None:
    for id in ("a", "b"):
        ledger.enter(broker, errand(id))
        claim = take(broker)
        assert claim
        ledger.finish(broker, id, claim.fence, "failed" if id == "a" else "done")
    ledger.forget(broker, ["a", "b", "none"])
    assert ledger.states(broker, ["a", "b"]) == {}
    assert ledger.litter(broker, ONE) == ["a"]


def test_a_question_and_its_answer(broker: redis.Redis) -> None:
    ledger.ask(broker, "q", {"kind": "look"}, 20)
    assert ledger.take(broker, ONE) == ("q", {"kind": "look"})
    assert ledger.take(broker, ONE) is None
    ledger.answer(broker, "q", {"result": [1]})
    assert ledger.hear(broker, "q", 1) == {"result": [1]}
    assert ledger.hear(broker, "q", 0.1) is None


def test_a_question_for_one_machine(broker: redis.Redis) -> None:
    ledger.ask(broker, "q", {}, 20, FAR)
    assert ledger.take(broker, ONE) is None
    assert ledger.take(broker, FAR) == ("q", {})


def test_a_question_that_nobody_awaits_any_more(broker: redis.Redis) -> None:
    ledger.ask(broker, "q", {"kind": "old"}, 1)
    ledger.ask(broker, "r", {"kind": "new"}, 20)
    time.sleep(1.1)
    assert ledger.take(broker, ONE) == ("r", {"kind": "new"})
