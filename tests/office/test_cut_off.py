"""Machines with addresses of their own, one of which loses its network for a while: connections
hang there instead of ending, and nobody is told.

CHATSITE_FAILURE_ROUNDS=20 cuts them off for longer; the default is short.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from inference import board
from tests.live import Site, alive
from tests.office.network import Network, network
from tests.office.office import SLOTS, Asked, Question, ask, finish, look, until
from tests.office.servers import Broker, Database
from tests.office.steering import give_all, resting, workers_of
from tests.running.judging import ROUNDS, Total
from tests.running.talking import broker as connect
from tests.workers import Worker

pytestmark = pytest.mark.live

# For how many seconds a worker is cut off, and a service; longer than leases and timeouts are.
LONG, SHORT = (30, 20) if ROUNDS > 2 else (12, 9)
# Seconds after which one that is back takes part again.
BACK = 15.0
# Seconds that somebody may have to wait for a page while a service is silent.
PAGE = 15.0
# Answers of about twelve seconds.
WORDS = [" ".join(f"{name}{n}" for n in range(600)) for name in ("red", "blue", "green", "grey")]


class Rooms:
    """web and steward, two workers, PostgreSQL, Redis: each on a machine of its own."""

    def __init__(self, net: Network, root: Path) -> None:
        self.net = net
        self.web, self.database_host = net.machine("web"), net.machine("sql")
        self.redis_host = net.machine("redis")
        self.hosts = (net.machine("first"), net.machine("second"))
        self.database = Database(self.database_host.address, self.database_host.prefix)
        self.redis = Broker(self.redis_host.address, self.redis_host.prefix)
        self.site = Site(
            host=self.web.address, DATABASE_URL=self.database.url, REDIS_URL=self.redis.url
        )
        self.site.prefix = self.web.prefix
        self.site.url = f"http://{self.web.address}:{self.site.port}"
        self.workers = [
            Worker(self.redis.url, root / m.name, prefix=m.prefix, CHATSITE_SLOTS=SLOTS)
            for m in self.hosts
        ]

    def start(self) -> None:
        self.database.start()
        self.redis.start()
        self.broker = connect(self.site)
        self.site.start()
        # Its machine is to be the web part's and the steward's alone.
        self.idle = next(iter(board.workers(self.broker))).name
        first, second = (worker.start().wait(self.broker) for worker in self.workers)
        self.names = (first, second)
        self.alice = self.site.person("alice")
        self.key = self.site.manage("apikey", "alice", "--name", "tests").strip()

    def ask(self, texts: list[str]) -> list[Asked]:
        asked = [ask(self.alice, Question("echo", text)) for text in texts]
        for each in asked:
            each.reader.wait_position(20)
        look(self.site, asked)
        return asked

    def remove(self) -> None:
        for worker in self.workers:
            worker.remove()
        self.site.remove()
        self.redis.remove()
        self.database.remove()


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rooms]:
    with network() as net:
        made = Rooms(net, tmp_path_factory.mktemp("rooms"))
        try:
            made.start()
            with resting(made.broker, made.idle):
                yield made
            pids = [worker.pid for worker in made.workers]
            pids += [made.site.up.pid] if made.site.up else []
            started = [p for pid in pids for p in psutil.Process(pid).children(recursive=True)]
            assert [worker.stop() for worker in made.workers] == [0, 0]
            assert made.site.stop() == 0
            assert [each for each in started if alive(each)] == []
        finally:
            made.remove()


def test_it_works(rooms: Rooms) -> None:
    """A worker: another goes on with its answers, what it writes late is refused, and it works
    again by itself."""
    questions = [Question("echo", text) for text in WORDS * 2]
    asked = give_all(rooms.site, rooms.key, rooms.alice, questions, rooms.names)
    look(rooms.site, asked)
    first, second = rooms.names
    total, began = Total(), time.monotonic()
    with rooms.net.without(rooms.hosts[0]):
        until(lambda: set(workers_of(rooms.broker, asked)) == {second}, LONG, "for the second")
        taken = time.monotonic() - began
        assert refusals(rooms, asked) == 0
        time.sleep(max(0.0, began + LONG - time.monotonic()))
    back = time.monotonic()
    until(lambda: refusals(rooms, asked) == len(asked), BACK, "for late writers to be refused")
    late = time.monotonic() - back
    with resting(rooms.broker, second):
        said = ask(rooms.alice, Question("echo", "Are you back?"))
        said.reader.wait_end(BACK)
        took = time.monotonic() - back
        assert workers_of(rooms.broker, [said]) == [first]
    finish(rooms.site, asked, total, began)
    assert [each.logged.text.strip() for each in asked] == WORDS * 2
    print(f"\nA worker, {LONG} s: taken over after {taken:.1f} s, gap {max(total.gaps):.1f} s;")
    print(f"  it is back: refused after {late:.1f} s, answers after {took:.1f} s")
    assert (total.lost, total.repeated, total.restarted) == (0, 0, 0), total.remarks
    assert took < BACK


def refusals(rooms: Rooms, asked: list[Asked]) -> int:
    """How many of these the first worker was told that they are another's now."""
    log = rooms.workers[0].log()
    return sum(f"Generation {each.said.generation} was taken over" in log for each in asked)


def test_the_web_part_without_redis(rooms: Rooms) -> None:
    """The page is told of the trouble, and goes on when it is over; what is said meanwhile is
    answered then."""
    asked, total, began = rooms.ask(WORDS), Total(), time.monotonic()
    with rooms.net.without(rooms.web, rooms.redis_host):
        told = [wait_trouble(each, "broker") - began for each in asked]
        asking = time.monotonic()
        # Its reader may be told of it only when it is over.
        late = ask(rooms.alice, Question("echo", "Said in between"))
        posted = time.monotonic() - asking
        time.sleep(max(0.0, began + SHORT - time.monotonic()))
    back = time.monotonic()
    for each in asked:
        each.reader.wait_trouble("ok", BACK)
    over = time.monotonic() - back
    finish(rooms.site, [*asked, late], total, back)
    print(f"\nweb without Redis, {SHORT} s: told after {max(told):.1f} s, over {over:.1f} s after;")
    print(f"  a message was taken in {posted:.1f} s, gap {max(total.gaps):.1f} s")
    assert [each.logged.text.strip() for each in asked] == WORDS
    assert late.logged.text.strip() == "Said in between"
    assert (total.lost, total.repeated, total.restarted) == (0, 0, 0), total.remarks
    assert posted < PAGE


def wait_trouble(asked: Asked, kind: str) -> float:
    asked.reader.wait_trouble(kind, SHORT)
    return time.monotonic()


def test_the_database(rooms: Rooms) -> None:
    """Answers flow on meanwhile, a page says soon that it cannot be had, and all is saved after."""
    asked, total, began = rooms.ask(WORDS), Total(), time.monotonic()
    with rooms.net.without(rooms.database_host):
        page = rooms.alice.get("/chat/")
        waited = time.monotonic() - began
        for each in asked:
            each.reader.wait_position(200, SHORT)
        time.sleep(max(0.0, began + SHORT - time.monotonic()))
    back = time.monotonic()
    until(lambda: rooms.alice.get("/chat/").status == 200, BACK, "for the pages")
    pages = time.monotonic() - back
    finish(rooms.site, asked, total, began)
    print(f"\nwithout the database, {SHORT} s: a page says {page.status} after {waited:.1f} s;")
    print(f"  pages {pages:.1f} s after it, gap of the answers {max(total.gaps):.1f} s")
    assert [each.logged.text.strip() for each in asked] == WORDS
    assert (total.lost, total.repeated, total.restarted) == (0, 0, 0), total.remarks
    assert page.status >= 500
    assert waited < PAGE
    assert max(total.gaps) < 3
