"""The door to the models' files: errands, questions, machines. It touches no hub and no weights."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import redis

from chatsite.gateway.bell import call
from chatsite.gateway.broker import connect
from inference import client
from inference.client import WorkerState
from inference.library import ledger, uploads
from inference.library.addresses import Wanted, parse
from inference.library.forecast import Forecast, recommend, word_of
from inference.library.forecast import of as forecast
from inference.library.ledger import place
from inference.library.nouns import (
    Errand,
    ErrandState,
    FileRef,
    Hub,
    Landed,
    LibraryError,
    Machine,
    Repository,
    Shapes,
    Variant,
)

__all__ = [
    "Errand",
    "ErrandState",
    "FileRef",
    "Forecast",
    "Hub",
    "Landed",
    "LibraryError",
    "Machine",
    "Repository",
    "Shapes",
    "Variant",
    "Wanted",
    "ask",
    "cards",
    "enter",
    "forecast",
    "forget",
    "machine_of",
    "parse",
    "place",
    "recommend",
    "states",
    "uploads",
    "wish",
    "word_of",
]


@contextmanager
def _reaching() -> Iterator[redis.Redis]:
    try:
        yield connect()
    except redis.RedisError as error:
        raise LibraryError("broker", str(error)) from error


def enter(errand: Errand) -> bool:
    """It waits for a worker; one that failed or was cancelled begins again, with what has come so
    far. False: it is known and goes on. LibraryError `broker` where Redis does not answer."""
    with _reaching() as broker:
        new = ledger.enter(broker, errand)
    call(ledger.ERRAND, errand.id)
    return new


def states(ids: Sequence[str]) -> dict[str, ErrandState]:
    """How errands stand; those that Redis does not know are left out."""
    with _reaching() as broker:
        return ledger.states(broker, ids)


def wish(id: str, wished: str) -> str | None:
    """pause, resume or cancel: how it stands now (a worker obeys within a second), None where Redis
    does not know it."""
    assert wished in {"pause", "resume", "cancel"}
    with _reaching() as broker:
        state = ledger.wish(broker, id, wished)
    call(ledger.ERRAND, id)
    return state


def forget(ids: Sequence[str]) -> None:
    """What has ended and is in the rows needs no memory in Redis."""
    with _reaching() as broker:
        ledger.forget(broker, ids)


def ask(
    kind: str, *, hub: Hub | None = None, timeout: float = 20, node: str = "", **args: Any
) -> Any:
    """A question to a worker, and its answer. `search` (query, limit, format: gguf or safetensors)
    answers with Repositories as dicts, `look` (repo, revision) with one, `weigh` (url) with a
    Variant. LibraryError with what went wrong, or `no_worker`, `no_answer`, `broker`."""
    id = uuid.uuid4().hex
    question = {"kind": kind, "args": args, "seconds": timeout, "hub": asdict(hub or Hub())}
    with _reaching() as broker:
        if not client.workers(broker):
            raise LibraryError("no_worker")
        ledger.ask(broker, id, question, int(timeout) + 1, node)
        call(ledger.QUESTION, id)
        answer = ledger.hear(broker, id, timeout + 1)
    if answer is None:
        raise LibraryError("no_answer")
    if "error" in answer:
        raise LibraryError.from_dict(answer["error"])
    return answer["result"]


def cards() -> list[tuple[WorkerState, Machine]]:
    """Every worker that has been seen lately, and what its machine is."""
    with _reaching() as broker:
        found = client.workers(broker)
    return [(each, machine_of(each)) for each in found]


def machine_of(worker: WorkerState) -> Machine:
    """What it said of its machine when it was seen last."""
    told = {name: getattr(worker, name) for name in ("memory_total", "memory_free", "cores")}
    return Machine.from_dict({**worker.machine, **told, "engines": worker.engines})
