"""What the engine room says of itself, as of this moment: engines, workers, queues; and which
models it is asked to load, to keep, to let go. It writes no row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import redis
from django.contrib.auth.models import AbstractBaseUser

from chatsite.gateway import tasks
from chatsite.gateway.bell import ring
from chatsite.gateway.broker import connect
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import ModelSpec, Task
from inference import client
from inference.client import OURS, EngineState, Seen, WorkerState

__all__ = [
    "OURS",
    "EngineState",
    "Room",
    "Seen",
    "WorkerState",
    "announce",
    "busy",
    "forget",
    "keep",
    "load",
    "look",
    "place",
    "remembered",
    "rest",
    "resting",
    "resume",
    "roster",
    "unload",
]


@dataclass(frozen=True, slots=True)
class Room:
    """All engines and workers that have reported in the last seconds; how many wait, by model."""

    engines: list[EngineState]
    workers: list[WorkerState]
    queues: dict[str, int] = field(default_factory=dict)


def look(models: Sequence[str] = ()) -> Room | None:
    """The room with the queues of these models; None where Redis does not answer."""
    broker = connect()
    try:
        pipe = broker.pipeline(transaction=False)
        for model in models:
            pipe.zcard(f"waiting:{model}")
        queues = dict(zip(models, pipe.execute(), strict=True))
        return Room(client.engines(broker), client.workers(broker), queues)
    except redis.RedisError:
        return None


def busy(model: str) -> bool:
    """Whether an answer of this model is being written, or waits."""
    return Generation.objects.filter(model=model, status=Generation.Status.LIVE).exists()


def unload(model: str) -> bool:
    """Ask every engine that has it loaded to end when nothing runs; whether there is one, or nobody
    knows. What waits for it loads it anew."""
    try:
        client.ask_unload(connect(), model)
        held = any(engine.model == model for engine in client.engines(connect()))
    except redis.RedisError:
        return True
    ring(model)
    return held


def load(owner: AbstractBaseUser, spec: ModelSpec) -> None:
    """Load it where there is memory for it: a small question does that. Raises redis.RedisError, or
    CrowdError where too many questions wait."""
    tasks.put(owner, spec, Task("tokenize"), prompt="")


def keep(models: Sequence[str]) -> None:
    """These models and no others stay in memory while nobody uses them. Raises redis.RedisError."""
    client.keep(connect(), models)


def remembered(workers: Iterable[WorkerState], model: str) -> float:
    """The most tokens per second with which one of these machines has written as this model; 0:
    none remembers it."""
    return max((worker.measured.get(model, 0.0) for worker in workers), default=0.0)


def announce() -> None:
    """Tell the workers which version this site is. Raises redis.RedisError."""
    client.announce(connect())


def place(placed: Mapping[str, Iterable[str]]) -> None:
    """These models are loaded by these workers alone, others by any. Raises redis.RedisError."""
    client.place(connect(), placed)


def roster() -> list[Seen]:
    """All workers that are known, also those that have gone. Raises redis.RedisError."""
    return client.roster(connect())


def resting() -> dict[str, float]:
    """Which of them are to rest, and until when they finish what runs. Raises redis.RedisError."""
    return client.resting(connect())


def rest(name: str, seconds: float | None = None) -> None:
    """This worker takes nothing new; what it does not finish in so many seconds goes on elsewhere.
    Raises redis.RedisError."""
    if seconds is None:
        client.rest(connect(), name)
    else:
        client.rest(connect(), name, seconds)


def resume(name: str) -> None:
    """It works again. Raises redis.RedisError."""
    client.resume(connect(), name)


def forget(name: str) -> None:
    """It is not expected back. Raises redis.RedisError."""
    client.resume(connect(), name)
    client.forget(connect(), name)
