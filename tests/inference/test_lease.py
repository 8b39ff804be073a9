"""Claims: one holder at a time, fair between users, and nothing gets lost between two holders."""

from __future__ import annotations

import threading
import time

import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from inference import client, lease, stream
from inference.contract import Finish
from tests.inference.logs import MODEL, ends, entries, request, status, token, tokens


def take(broker: redis.Redis) -> lease.Claim:
    claim = lease.claim(broker, MODEL, 60_000)
    assert claim
    return claim


def test_it_works(broker: redis.Redis) -> None:
    stream.create(broker, request("a"))
    assert lease.claim(broker, "another", 60_000) is None
    assert take(broker) == lease.Claim("a", 1, 1)
    assert lease.claim(broker, MODEL, 60_000) is None
    lease.release(broker, "a", 1)
    assert take(broker) == lease.Claim("a", 2, 2)
    stream.append(broker, [(2, token("a", 1))])
    lease.release(broker, "a", 2)
    # A new token is progress: the attempts count anew.
    assert take(broker) == lease.Claim("a", 3, 1)


def test_first_come_first_served(broker: redis.Redis) -> None:
    for id in ("c", "a", "b"):
        stream.create(broker, request(id, user=id))
    assert [take(broker).id for _ in range(3)] == ["c", "a", "b"]


def test_who_has_fewest_running_goes_first(broker: redis.Redis) -> None:
    for id in ("a1", "a2", "a3"):
        stream.create(broker, request(id, user="alice"))
    for id in ("b1", "b2"):
        stream.create(broker, request(id, user="bob"))
    stream.create(broker, request("c1", user="charlie"))
    assert [take(broker).id for _ in range(6)] == ["a1", "b1", "c1", "a2", "b2", "a3"]


def test_what_is_given_back_keeps_its_place(broker: redis.Redis) -> None:
    stream.create(broker, request("a"))
    stream.create(broker, request("b", user="charlie"))
    claim = take(broker)
    lease.release(broker, "a", claim.fence)
    assert take(broker).id == "a"


def test_two_never_get_the_same(valkey: str, broker: redis.Redis) -> None:
    for n in range(60):
        stream.create(broker, request(f"g{n}", user=str(n % 3)))
    got: list[str] = []

    def work() -> None:
        with redis.Redis.from_url(valkey) as own:
            while claim := lease.claim(own, MODEL, 60_000):
                got.append(claim.id)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(f"g{n}" for n in range(60))


def test_a_lease_that_is_kept_does_not_lapse(broker: redis.Redis) -> None:
    stream.create(broker, request("a"))
    claim = lease.claim(broker, MODEL, 150)
    assert claim
    for _ in range(4):
        time.sleep(0.1)
        assert lease.renew(broker, 150, [("a", claim.fence)]) == [0]
        assert lease.lapse(broker) == []
    time.sleep(0.2)
    assert lease.lapse(broker) == [MODEL]
    assert lease.lapse(broker) == []
    assert status(broker, "a") == "waiting"
    assert entries(broker, "a")[-1].phase == "waiting"
    assert lease.renew(broker, 150, [("a", claim.fence)]) == [-1]


def test_only_the_holder_gives_back(broker: redis.Redis) -> None:
    stream.create(broker, request("a"))
    old = take(broker)
    lease.release(broker, "a", old.fence)
    new = take(broker)
    lease.release(broker, "a", old.fence)
    assert status(broker, "a") == "running"
    assert lease.renew(broker, 1000, [("a", old.fence), ("a", new.fence)]) == [-1, 0]


def test_an_ended_one_is_never_claimed(broker: redis.Redis) -> None:
    stream.create(broker, request("a"))
    claim = take(broker)
    stream.finish(broker, claim.fence, Finish("a", "stop"))
    lease.release(broker, "a", claim.fence)
    assert lease.claim(broker, MODEL, 1000) is None
    # Even where a stray entry of the queue names it.
    broker.zadd(f"waiting:{MODEL}", {"a": 1, "unknown": 2})
    assert lease.claim(broker, MODEL, 1000) is None
    assert broker.zcard(f"waiting:{MODEL}") == 0
    assert len(ends(broker, "a")) == 1


@pytest.mark.parametrize("state", ["waiting", "running", "done", "unknown"])
def test_a_stop_in_every_state(broker: redis.Redis, state: str) -> None:
    fence = 0
    if state != "unknown":
        stream.create(broker, request("a"))
    if state in {"running", "done"}:
        fence = take(broker).fence
    if state == "done":
        stream.finish(broker, fence, Finish("a", "stop"))
    expected = {"waiting": "", "running": MODEL, "done": "", "unknown": None}
    for _ in range(2):
        assert client.cancel(broker, "a") == expected[state]
    reasons = [end.finish.reason for end in ends(broker, "a")]
    assert reasons == {"waiting": ["cancelled"], "done": ["stop"]}.get(state, [])
    assert lease.claim(broker, MODEL, 1000) is None
    if state == "running":
        assert lease.renew(broker, 1000, [("a", fence)]) == [1]


def test_a_stopped_one_that_waits_again_keeps_its_text(broker: redis.Redis) -> None:
    stream.create(broker, request("a"))
    fence = take(broker).fence
    stream.append(broker, [(fence, token("a", 2, 2))])
    lease.release(broker, "a", fence)
    assert client.cancel(broker, "a") == ""
    (end,) = ends(broker, "a")
    assert end.stats["completion_tokens"] == 2
    assert tokens(broker, "a") == [1, 2]


def finish(broker: redis.Redis, id: str, fence: int, tokens: int = 1) -> None:
    stream.append(broker, [(fence, token(id, tokens, tokens))])
    stream.finish(broker, fence, Finish(id, "stop"))


def test_who_was_served_less_lately_goes_first(broker: redis.Redis) -> None:
    for user in ("alice", "bob"):
        stream.create(broker, request(user, user=user))
        finish(broker, user, take(broker).fence, 50 if user == "alice" else 10)
    for id, user in (("a", "alice"), ("b", "bob"), ("c", "charlie")):
        stream.create(broker, request(id, user=user))
    assert [take(broker).id for _ in range(3)] == ["c", "b", "a"]


def test_places_are_told_in_the_order_of_the_claims(broker: redis.Redis) -> None:
    users = ["alice"] * 4 + ["bob", "alice", "charlie", "bob"]
    for n, user in enumerate(users):
        stream.create(broker, request(f"g{n}", user=user))
    take(broker)
    wanted = [(MODEL, f"g{n}") for n in range(1, len(users))]
    ahead = [place and place.ahead for place in client.places(broker, wanted)]
    expected = [take(broker).id for _ in wanted]
    assert sorted(range(1, len(users)), key=lambda n: ahead[n - 1] or 0) == [
        int(id[1:]) for id in expected
    ]
    assert expected[:2] == ["g4", "g6"]


def test_the_wait_is_estimated_from_what_others_took(broker: redis.Redis) -> None:
    stream.create(broker, request("a"))
    claim = take(broker)
    stream.create(broker, request("b"))
    stream.create(broker, request("c"))
    (unknown,) = client.places(broker, [(MODEL, "b")])
    assert unknown == client.Place(0, None)
    broker.hincrby("run:a", "claimed", -4000)
    finish(broker, "a", claim.fence)
    take(broker)
    wanted = [(MODEL, "b"), (MODEL, "c"), (MODEL, "nobody"), ("another", "c")]
    gone, place, *others = client.places(broker, wanted)
    assert gone is None
    assert others == [None, None]
    assert place
    assert place.ahead == 0
    assert place.seconds == pytest.approx(4, abs=0.5)


def test_an_answer_that_was_stopped_tells_nothing_about_the_pace(broker: redis.Redis) -> None:
    stream.create(broker, request("a"))
    stream.finish(broker, take(broker).fence, Finish("a", "cancelled"))
    stream.create(broker, request("b"))
    assert client.places(broker, [(MODEL, "b")]) == [client.Place(0, None)]


def over(broker: redis.Redis, held: int, slots: int) -> str | None:
    claim = lease.claim(broker, MODEL, 60_000, held=held, slots=slots)
    return claim.id if claim else None


def test_a_full_worker_takes_only_who_has_less_than_a_fair_share(broker: redis.Redis) -> None:
    for n in range(6):
        stream.create(broker, request(f"a{n}", user="alice"))
    assert [over(broker, n, 4) for n in range(5)] == ["a0", "a1", "a2", "a3", None]
    stream.create(broker, request("b0", user="bob"))
    stream.create(broker, request("b1", user="bob"))
    stream.create(broker, request("b2", user="bob"))
    # Two users: two of the four slots each.
    assert [over(broker, n, 4) for n in (4, 5, 6)] == ["b0", "b1", None]
    # More users than slots: one each.
    for user in ("charlie", "u4", "u5"):
        stream.create(broker, request(user, user=user))
    assert [over(broker, n, 4) for n in range(6, 10)] == ["charlie", "u4", "u5", None]
    # With room again, whoever is next.
    assert over(broker, 3, 4) == "b2"


def test_a_worker_that_starts_again_takes_back_what_it_held(broker: redis.Redis) -> None:
    for id, mark in (("a", "one/1"), ("b", "one/2"), ("c", "one-more/1")):
        stream.create(broker, request(id))
        assert lease.claim(broker, MODEL, 60_000, worker=mark)
    assert lease.orphans(broker, "one", "one/2") == [MODEL]
    assert [status(broker, id) for id in "abc"] == ["waiting", "running", "running"]
    assert lease.orphans(broker, "one", "one/2") == []


def test_what_is_put_back_was_never_claimed(broker: redis.Redis) -> None:
    stream.create(broker, request("a"))
    before = len(entries(broker, "a"))
    for _ in range(3):
        claim = take(broker)
        assert claim.attempts == 1
        lease.put_back(broker, "a", claim.fence)
        lease.put_back(broker, "a", claim.fence)
    assert len(entries(broker, "a")) == before
    claim = take(broker)
    lease.put_back(broker, "a", claim.fence - 1)
    assert status(broker, "a") == "running"


def test_what_is_late_goes_after_all_that_is_not(broker: redis.Redis) -> None:
    # More of them than a claim looks at, and who sends them has nothing running.
    for n in range(250):
        stream.create(broker, request(f"late{n}", user="alice", late=True))
    stream.create(broker, request("late-too", user="bob", late=True))
    for n in range(3):
        stream.create(broker, request(f"b{n}", user="bob"))
    wanted = [(MODEL, id) for id in ("b0", "b1", "b2", "late0", "late-too", "late249")]
    ahead = [place and place.ahead for place in client.places(broker, wanted)]
    assert ahead[:3] == [0, 1, 2]
    assert ahead[3] == 3
    assert ahead[5] == 252
    assert [take(broker).id for _ in range(4)] == ["b0", "b1", "b2", "late0"]
    stream.create(broker, request("c", user="charlie"))
    assert take(broker).id == "c"


def test_what_is_late_stays_so_when_it_is_given_back(broker: redis.Redis) -> None:
    stream.create(broker, request("late", late=True))
    for give_back in (lease.release, lease.put_back):
        claim = take(broker)
        assert claim.id == "late"
        give_back(broker, "late", claim.fence)
        stream.create(broker, request("b"))
        claim = take(broker)
        assert claim.id == "b"
        stream.finish(broker, claim.fence, Finish("b", "stop"))
        broker.delete("run:b", "gen:b")


def test_among_the_late_the_usual_order_rules(broker: redis.Redis) -> None:
    for id, user in (("a0", "alice"), ("a1", "alice"), ("b0", "bob")):
        stream.create(broker, request(id, user=user, late=True))
    assert [take(broker).id for _ in range(3)] == ["a0", "b0", "a1"]


def test_what_is_late_takes_no_place_beyond_the_slots(broker: redis.Redis) -> None:
    for n in range(4):
        stream.create(broker, request(f"a{n}", user="alice"))
    assert [over(broker, n, 2) for n in range(3)] == ["a0", "a1", None]
    stream.create(broker, request("late", user="bob", late=True))
    assert over(broker, 2, 2) is None
    # And who waits late lessens nobody's share.
    for n in range(2):
        stream.create(broker, request(f"c{n}", user="charlie"))
    assert [over(broker, n, 4) for n in (4, 5, 6)] == ["c0", "c1", None]


class Workers(RuleBasedStateMachine):
    """Two workers, a steward and a reader who stops, in any order: each position once, one end."""

    broker: redis.Redis

    def __init__(self) -> None:
        super().__init__()
        self.broker.flushall()
        # What each worker believes: id -> fence and position. It may be wrong.
        self.held: list[dict[str, tuple[int, int]]] = [{}, {}]
        self.made = 0

    @rule(user=st.sampled_from("ab"))
    def create(self, user: str) -> None:
        if self.made < 3:
            stream.create(self.broker, request(f"g{self.made}", user=user))
            self.made += 1

    @rule(worker=st.integers(0, 1))
    def claim(self, worker: int) -> None:
        if claim := lease.claim(self.broker, MODEL, 60_000):
            position = len(stream.load(self.broker, claim.id).tokens)
            self.held[worker][claim.id] = (claim.fence, position)

    @rule(worker=st.integers(0, 1), count=st.integers(1, 3), repeat=st.booleans())
    def write(self, worker: int, count: int, repeat: bool) -> None:
        for id, (fence, position) in list(self.held[worker].items()):
            event = (fence, token(id, position + count, count))
            for _ in range(1 + repeat):
                (answer,) = stream.append(self.broker, [event])
            if answer < 0:
                del self.held[worker][id]
            else:
                self.held[worker][id] = (fence, position + count)

    @rule(worker=st.integers(0, 1))
    def end(self, worker: int) -> None:
        for id, (fence, _) in self.held[worker].items():
            stream.finish(self.broker, fence, Finish(id, "stop"))
        self.held[worker].clear()

    @rule(worker=st.integers(0, 1))
    def release(self, worker: int) -> None:
        for id, (fence, _) in self.held[worker].items():
            lease.release(self.broker, id, fence)

    @rule()
    def lapse(self) -> None:
        for id in range(self.made):
            if self.broker.zscore("leases", f"g{id}") is not None:
                self.broker.zadd("leases", {f"g{id}": 1})
        lease.lapse(self.broker)

    @rule(n=st.integers(0, 2))
    def cancel(self, n: int) -> None:
        client.cancel(self.broker, f"g{n}")

    @invariant()
    def each_position_once_and_one_end(self) -> None:
        for n in range(self.made):
            log = entries(self.broker, f"g{n}")
            found = [t for entry in log for t in entry.tokens or ()]
            assert found == list(range(1, len(found) + 1))
            finished = [entry for entry in log if entry.end]
            assert len(finished) == (status(self.broker, f"g{n}") == "done")
            assert not finished or log[-1] == finished[0]
            places = [
                self.broker.zscore(f"waiting:{MODEL}", f"g{n}"),
                self.broker.zscore("leases", f"g{n}"),
            ]
            held = sum(place is not None for place in places)
            assert held == (status(self.broker, f"g{n}") != "done")


def test_any_order_of_everything(broker: redis.Redis) -> None:
    Workers.broker = broker
    Workers.TestCase.settings = settings(
        max_examples=60,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    Workers.TestCase().runTest()
