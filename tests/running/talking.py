"""Saying something to the running product by HTTP, and looking at what it wrote."""

from __future__ import annotations

import html
import re
import time
import uuid
from dataclasses import dataclass, field

import redis

from chatsite.supervisor import sockets
from inference import stream
from inference.contract import Request
from tests.live import Person, Site

STARTER = "smollm2-135m-instruct"
ANSWER = re.compile(r'<div class="answer">.*?<pre class="raw" data-raw>\n?(.*?)</pre>', re.DOTALL)
STATUS = re.compile(r'data-role="assistant"\s+data-generation="(\w+)" data-status="(\w+)"')
ERROR = re.compile(r"<div data-error>(.*?)</div>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Said:
    """A message that was taken: where it stands and who answers."""

    conversation: str
    generation: str
    person: Person

    def thread(self) -> str:
        return self.person.get(f"/chat/{self.conversation}/thread/").text

    def status(self) -> str:
        """What the database says of the answer: live, done, stopped, failed."""
        statuses: dict[str, str] = dict(STATUS.findall(self.thread()))
        return statuses[self.generation]

    def wait_closed(self, seconds: float = 20) -> str:
        until = time.monotonic() + seconds
        while (status := self.status()) == "live":
            assert time.monotonic() < until, "the steward does not close the answer"
            time.sleep(0.2)
        return status

    def saved(self) -> str:
        """The text of the last answer as the database has it."""
        answers: list[str] = ANSWER.findall(self.thread())
        return html.unescape(answers[-1])


@dataclass(slots=True)
class Logged:
    """A log as it lies in the broker, entry by entry."""

    requests: list[Request] = field(default_factory=list)
    # Of every token, and how many each entry has.
    positions: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    ends: list[stream.End] = field(default_factory=list)


def say(person: Person, text: str, *, conversation: str = "", **fields: str) -> Said:
    fields = {"model": STARTER, "nonce": str(uuid.uuid4()), **fields}
    answer = person.post("/chat/send", conversation=conversation, text=text, **fields)
    assert answer.status == 200, answer.text
    generation = re.findall(r'data-generation="(\w+)"', answer.text)[-1]
    where = answer.headers.get("HX-Push-Url") or f"/chat/{conversation}/"
    return Said(where.split("/")[2], generation, person)


def broker(site: Site) -> redis.Redis:
    """The embedded one, or that which the site was given."""
    return redis.Redis.from_url(site.env.get("REDIS_URL") or f"unix://{sockets.broker(site.data)}")


def read_log(site: Site, generation: str) -> Logged:
    logged = Logged()
    with broker(site) as client:
        for raw in client.xrange(stream.LOG + generation):
            entry = stream.parse(*raw)
            if entry.request is not None:
                logged.requests.append(Request.from_json(entry.request))
            elif entry.tokens is not None:
                count = len(entry.tokens)
                logged.positions += range(entry.position - count + 1, entry.position + 1)
                logged.counts.append(count)
                logged.tokens.extend(entry.tokens)
                logged.text += entry.text
            elif entry.end is not None:
                logged.text += entry.end.finish.text
                logged.ends.append(entry.end)
    return logged


def log_position(site: Site, generation: str) -> int:
    with broker(site) as client:
        last = client.xrevrange(stream.LOG + generation, count=1)
    return int(last[0][0].split(b"-")[0]) if last else 0
