"""A site on PostgreSQL and Redis with two workers, and many answers of it at once that somebody
reads."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import redis

from inference import board
from tests.live import Person, Site, alive
from tests.office.servers import Broker, Database
from tests.running.judging import Total, judge
from tests.running.reader import Reader
from tests.running.talking import Logged, Said, log_position, read_log, say
from tests.workers import Worker

# Sequences that each worker computes at once: one of them may be left with all.
SLOTS = "12"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and the fields of the chat's side panel."""

    model: str
    text: str
    options: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Asked:
    """An answer with its reader, and what was there of it just before something happened."""

    question: Question
    said: Said
    reader: Reader
    seen: str = ""
    before: int = 0
    logged: Logged = field(default_factory=Logged)


class Office:
    """`site` has a worker of its own; `second` is another machine's."""

    def __init__(self, root: Path, python: str | Path = sys.executable) -> None:
        """`python` is the interpreter of the site; the second worker has that of the tests."""
        self.database, self.broker_server = Database(), Broker()
        self.site = Site(
            python=python,
            CHATSITE_SLOTS=SLOTS,
            DATABASE_URL=self.database.url,
            REDIS_URL=self.broker_server.url,
        )
        self.second = self.worker(root / "second")

    def worker(self, data: Path) -> Worker:
        """One more, not yet started."""
        return Worker(self.broker_server.url, data, CHATSITE_SLOTS=SLOTS)

    def start(self) -> Office:
        self.database.start()
        self.broker_server.start()
        self.broker = redis.Redis.from_url(self.broker_server.url)
        self.site.start()
        self.second.start().wait(self.broker)
        self.alice = self.site.person("alice")
        self.key = self.site.manage("apikey", "alice", "--name", "tests").strip()
        return self

    @property
    def first_name(self) -> str:
        pid = self.site.pid("worker")
        return next(each.name for each in board.workers(self.broker) if each.pid == pid)

    def remove(self) -> None:
        try:
            self.second.remove()
            self.site.remove()
        finally:
            self.broker_server.remove()
            self.database.remove()

    def check_nothing_is_left(self) -> None:
        """After an end that was asked for: of neither process tree, by mark and by parent."""
        tree = psutil.Process(self.site.up.pid).children(recursive=True) if self.site.up else []
        tree += psutil.Process(self.second.pid).children(recursive=True)
        assert self.second.stop() == 0
        assert self.site.stop() == 0
        assert [each for each in tree if alive(each)] == []
        assert self.site.processes() == []
        assert self.second.processes() == []


def ask(person: Person, question: Question) -> Asked:
    said = say(person, question.text, model=question.model, **question.options)
    reader = Reader(person, said.generation)
    reader.start()
    return Asked(question, said, reader)


def look(site: Site, asked: Sequence[Asked]) -> None:
    """Remember how far they are."""
    for each in asked:
        each.seen = each.reader.text
        each.before = log_position(site, each.said.generation)


def finish(site: Site, asked: Sequence[Asked], total: Total, since: float) -> None:
    """Every token of every answer once: in the log, on the page, in the database."""
    for each in asked:
        each.reader.wait_end(120)
        each.logged = read_log(site, each.said.generation)
        total.answers += 1
        total.gaps.append(each.reader.gap(since))
        judge(total, each.reader, each.logged, each.seen, each.before)
        status = each.said.wait_closed()
        if status != "done" or each.said.saved() != each.logged.text:
            total.lost += 1
            total.remarks.append(f"closed as {status}: {each.said.saved()!r}")


def until(condition: Callable[[], Any], seconds: float = 30, what: str = "") -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain {what}"
        time.sleep(0.05)
