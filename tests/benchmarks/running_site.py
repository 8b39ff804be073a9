"""The whole product for a benchmark: `manage.py up` with a model of given size, and requests that
go straight to its worker by the log, without the web part."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
from celery import Celery

from chatsite.supervisor import sockets
from inference import stream
from inference.client import QUEUE, RING
from inference.contract import Message, Request, Sampling
from inference.settings import broker_url
from tests.benchmarks.measuring import NAME, spec
from tests.live import Site

RESIZE = """
import json, os
from chatsite.catalogue.models import Model
Model.objects.filter(name=os.environ["NAME"]).update(settings=json.loads(os.environ["SETTINGS"]))
"""
# Seconds in which something must have come: more is a bug, not a slow machine.
PATIENCE = 300


@dataclass(slots=True)
class Answer:
    """What came of a request, with times as `time.perf_counter` has them."""

    request: Request
    asked: float
    # When each entry with tokens was read, and how many tokens it had.
    times: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    ended: float = 0.0

    @property
    def first(self) -> float:
        """Seconds to the first token."""
        return self.times[0] - self.asked


class Backdoor:
    """Writes requests into the site's broker and reads their logs, one thread for all."""

    def __init__(self, site: Site) -> None:
        self._site = site
        url = f"unix://{sockets.broker(site.data)}"
        self._client = redis.Redis.from_url(url)
        self._bell = Celery("benchmark", fixups=[], broker=broker_url(url))
        self.running: dict[bytes, Answer] = {}
        self._cursors: dict[bytes, bytes] = {}

    def ask(
        self, user: str, messages: Iterable[Message], sampling: Sampling, **settings: int
    ) -> Answer:
        """Put it into the queue now."""
        id = uuid.uuid4().hex
        request = Request(id, user, spec(settings, "benchmark"), tuple(messages), sampling)
        answer = Answer(request, time.perf_counter())
        stream.create(self._client, request)
        self._bell.send_task(RING, args=[request.model.name], queue=QUEUE)
        key = (stream.LOG + id).encode()
        self.running[key], self._cursors[key] = answer, b"0-0"
        return answer

    def read(self, seconds: float) -> None:
        """Take what has come, waiting up to so long for something."""
        if not self.running:
            time.sleep(seconds)
            return
        wanted: Any = {key: self._cursors[key] for key in self.running}
        found: Any = self._client.xread(wanted, block=max(1, int(seconds * 1000)))
        now = time.perf_counter()
        for key, entries in found:
            for id, fields in entries:
                self._cursors[key] = id
                self._note(key, stream.parse(id, fields), now)

    def finish(self) -> None:
        """Read until everything that was asked has ended."""
        until = time.monotonic() + PATIENCE
        while self.running:
            assert time.monotonic() < until, f"{len(self.running)} answers do not end."
            self.read(1)

    def close(self) -> None:
        self._client.close()
        self._bell.close()

    def _note(self, key: bytes, entry: stream.Entry, now: float) -> None:
        answer = self.running[key]
        if entry.tokens:
            answer.times.append(now)
            answer.counts.append(len(entry.tokens))
            answer.tokens += entry.tokens
            answer.text += entry.text
        if entry.end is not None:
            finish = entry.end.finish
            assert finish.error is None, f"{finish.error}\n{self._site.log('worker')[-3000:]}"
            answer.text += finish.text
            answer.ended = now
            del self.running[key]


@contextmanager
def running_site(**settings: int) -> Iterator[Site]:
    """A product of its own with one account; `settings` are those of the starter model."""
    site = Site(CHATSITE_ECHO_MODEL="")
    try:
        site.start()
        site.person("alice")
        site.shell(RESIZE, NAME=NAME, SETTINGS=json.dumps(settings))
        yield site
    finally:
        site.remove()


@contextmanager
def backdoor(site: Site) -> Iterator[Backdoor]:
    door = Backdoor(site)
    try:
        yield door
    finally:
        door.close()
