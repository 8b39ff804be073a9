"""Which of two workers writes what: one rests for a moment, and the other takes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from openai import OpenAI

from inference import board, client, duty
from tests.live import Person, Site
from tests.office.office import Asked, Question, ask, until
from tests.running.asking import ENDLESS, said

# Seconds that a load may take on a machine on which much else runs.
LOAD = 180.0


def give_all(
    site: Site, key: str, person: Person, questions: Sequence[Question], workers: tuple[str, str]
) -> list[Asked]:
    """All of these are being written by the first of the workers, and the other one has the model
    loaded and nothing to do."""
    writer, other = workers
    model = questions[0].model
    with connected(site) as broker, busy(site, key, model, broker, writer):
        with resting(broker, other):
            asked = [ask(person, question) for question in questions]
            for each in asked:
                each.reader.wait_position(10, LOAD)
        assert set(workers_of(broker, asked)) == {writer}
        assert has_loaded(broker, other, model)
    assert all(each.reader.end is None for each in asked), "they were over too soon"
    return asked


@contextmanager
def busy(site: Site, key: str, model: str, broker: redis.Redis, but: str) -> Iterator[None]:
    """An answer that goes on meanwhile, not at the worker `but`: one that rests unloads what it
    does not need. It is stopped at the end."""
    text = " ".join(f"long{n}" for n in range(3000)) if model == "echo" else "Tell me a story."
    with OpenAI(base_url=f"{site.url}/v1", api_key=key, max_retries=0) as api:
        with resting(broker, but):
            stream = api.chat.completions.create(
                model=model, messages=said(text), stream=True, **ENDLESS
            )
            next(iter(stream))
        try:
            yield
        finally:
            stream.close()


@contextmanager
def resting(broker: redis.Redis, name: str) -> Iterator[None]:
    """This worker takes nothing new meanwhile, and keeps what it has begun."""
    client.rest(broker, name)
    until(lambda: not works(broker, name), what="for a worker to rest")
    try:
        yield
    finally:
        client.resume(broker, name)
        until(lambda: works(broker, name), what="for a worker to work again")


@contextmanager
def connected(site: Site) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(site.env["REDIS_URL"]) as broker:
        yield broker


def works(broker: redis.Redis, name: str) -> bool:
    return any(w.name == name and w.duty == duty.ON for w in board.workers(broker))


def workers_of(broker: redis.Redis, asked: Sequence[Asked]) -> list[str]:
    """The names of those that claimed them last."""
    keys = [f"run:{each.said.generation}" for each in asked]
    marks: list[Any] = [broker.hget(key, "worker") or b"" for key in keys]
    return [mark.decode().partition("/")[0] for mark in marks]


def has_loaded(broker: redis.Redis, name: str, model: str) -> bool:
    states = [e.state for e in client.engines(broker) if (e.worker, e.model) == (name, model)]
    return bool(states) and states[0] != "loading"
