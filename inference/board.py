"""What workers and their engines say of themselves, in Redis for a few seconds, and what an admin
wishes of them: hints, never what an answer depends on."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import redis

# A worker says every second that it is there; after this many it counts as gone.
SEEN = 5
# Seconds for which a word of an engine or a worker stands.
STANDS = 10
WORKERS, ENGINES = "workers", "engines"
# All that were ever seen, by when they were seen last, and when each came first: for so many
# seconds after they are gone.
KNOWN, JOINED, REMEMBERED = "known", "joined", 14 * 24 * 3600
# The models that are to be in memory always; and for how many seconds a wish to unload is heard.
KEPT, HEARD = "kept", 60


@dataclass(frozen=True, slots=True)
class EngineState:
    """One model in one worker. `state`: loading, ready (it works) or idle."""

    worker: str
    model: str
    state: str
    # Of a load, how far it is.
    fraction: float = 0.0
    # Generations in work.
    running: int = 0
    slots: int = 0
    jobs: int = 0
    context_length: int = 0
    threads: int = 0
    gpu_layers: int = 0
    # In memory, mapped files included.
    memory_bytes: int = 0
    # By the names in docs/architecture.md.
    figures: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        return cls(**_known(cls, json.loads(text)))


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker. `name` stays over restarts; `engines` are the kinds that it can run."""

    name: str
    host: str
    pid: int
    version: str
    cores: int
    memory_total: int
    memory_free: int
    engines: tuple[str, ...] = ()
    # What lies in its folder of models.
    folders: tuple[str, ...] = ()
    # What was measured of its machine: the further fields of a Machine.
    machine: dict[str, Any] = field(default_factory=dict)
    # Where other workers get its models from, as host:port; "": nowhere.
    address: str = ""
    # Tokens per second that models have written here, by their names.
    measured: dict[str, float] = field(default_factory=dict)
    # The product's version here and the protocol that it speaks; see inference.release.
    product: str = ""
    protocol: int = 1
    # on, draining, drained, refused or off; see inference.duty.
    duty: str = "on"
    # Versions of the engines that are installed, by their packages.
    builds: dict[str, str] = field(default_factory=dict)
    # Bytes of the models in its folder, by their folders.
    sizes: dict[str, int] = field(default_factory=dict)
    # Models that it was asked for and cannot load.
    lacks: tuple[str, ...] = ()
    # Downloads and the like at work.
    errands: int = 0

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        known = _known(cls, json.loads(text))
        lists = {name: tuple(known.get(name, ())) for name in ("engines", "folders", "lacks")}
        return cls(**known | lists)


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker as it was when it was seen last. Times in seconds since 1970."""

    state: WorkerState
    at: float
    joined: float
    lives: bool


def now(client: redis.Redis) -> float:
    """By the clock of Redis: those of an office's machines differ. Seconds since 1970."""
    seconds, micros = client.time()
    return float(seconds + micros / 1e6)


def post(client: redis.Redis, state: EngineState) -> None:
    """Say it anew at least every few seconds."""
    member = json.dumps([state.worker, state.model])
    at = now(client)
    pipe = client.pipeline(transaction=False)
    pipe.set(_engine(state.worker, state.model), json.dumps(asdict(state)), ex=STANDS)
    pipe.zadd(ENGINES, {member: at})
    pipe.execute()


def take_down(client: redis.Redis, worker: str, model: str) -> None:
    pipe = client.pipeline(transaction=False)
    pipe.delete(_engine(worker, model))
    pipe.zrem(ENGINES, json.dumps([worker, model]))
    pipe.execute()


def engines(client: redis.Redis) -> list[EngineState]:
    """All engines of all workers, by model and worker."""
    # Whose word is older than it stands has none left under its key.
    members: Any = client.zrange(ENGINES, 0, -1)
    keys = [_engine(*json.loads(member)) for member in members]
    found: Any = client.mget(keys) if keys else []
    states = [EngineState.from_json(text) for text in found if text]
    return sorted(states, key=lambda state: (state.model, state.worker))


def greet(client: redis.Redis, state: WorkerState) -> None:
    """A worker lives; also forgets those that have been gone for long."""
    at = now(client)
    pipe = client.pipeline(transaction=False)
    pipe.set(f"worker:{state.name}", json.dumps(asdict(state)), ex=REMEMBERED)
    for key in (WORKERS, KNOWN):
        pipe.zadd(key, {state.name: at})
    pipe.hsetnx(JOINED, state.name, str(at))
    pipe.zremrangebyscore(KNOWN, 0, at - REMEMBERED)
    for key in (WORKERS, ENGINES):
        pipe.zremrangebyscore(key, 0, at - 12 * SEEN)
    pipe.execute()


def part(client: redis.Redis, state: WorkerState) -> None:
    """A worker ends, of its own will."""
    pipe = client.pipeline(transaction=False)
    pipe.set(f"worker:{state.name}", json.dumps(asdict(state)), ex=REMEMBERED)
    pipe.zrem(WORKERS, state.name)
    pipe.execute()


def forget(client: redis.Redis, name: str) -> None:
    """Nobody expects this worker back; one that lives is known again within a second."""
    pipe = client.pipeline(transaction=False)
    pipe.delete(f"worker:{name}")
    for key in (WORKERS, KNOWN):
        pipe.zrem(key, name)
    pipe.hdel(JOINED, name)
    pipe.execute()


def workers(client: redis.Redis) -> list[WorkerState]:
    """All that were seen within the last seconds, by name."""
    return [seen.state for seen in roster(client) if seen.lives]


def roster(client: redis.Redis) -> list[Seen]:
    """All that are known, by name; also those that have gone."""
    pipe = client.pipeline(transaction=False)
    pipe.zrange(KNOWN, 0, -1, withscores=True)
    pipe.zrange(WORKERS, 0, -1, withscores=True)
    pipe.hgetall(JOINED)
    pipe.time()
    known, greeted, joined, (seconds, _) = pipe.execute()
    living = {name for name, at in greeted if at >= seconds - SEEN}
    found: Any = client.mget([b"worker:" + name for name, _ in known]) if known else []
    seen = [
        Seen(WorkerState.from_json(text), at, float(joined.get(name) or at), name in living)
        for (name, at), text in zip(known, found, strict=True)
        if text
    ]
    return sorted(seen, key=lambda each: each.state.name)


def keep(client: redis.Redis, models: Iterable[str]) -> None:
    """These models and no others are not unloaded because nobody uses them."""
    names = list(models)
    pipe = client.pipeline()
    pipe.delete(KEPT)
    if names:
        pipe.sadd(KEPT, *names)
    pipe.execute()


def ask_unload(client: redis.Redis, model: str) -> None:
    """Every engine of this model shall end, as soon as nothing runs."""
    client.set(f"unload:{model}", uuid.uuid4().hex, ex=HEARD)


@dataclass(frozen=True, slots=True)
class Wishes:
    """What an admin wishes of a model: each new `unload` is another text."""

    kept: bool = False
    unload: bytes = b""


def wishes(client: redis.Redis, model: str) -> Wishes:
    pipe = client.pipeline(transaction=False)
    pipe.sismember(KEPT, model)
    pipe.get(f"unload:{model}")
    kept, unload = pipe.execute()
    return Wishes(bool(kept), unload or b"")


def _engine(worker: str, model: str) -> str:
    return f"engine:{worker}:{model}"


def _known(cls: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """Workers of another version may say more."""
    names = {each.name for each in fields(cls)}
    return {key: value for key, value in data.items() if key in names}
