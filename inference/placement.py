"""Which worker takes what waits for a model, and why nobody does: one rule, which every worker and
the site apply to what the workers say of themselves. It claims and loads nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from inference import duty
from inference.board import EngineState, Seen, WorkerState
from inference.stream import LOG, RUN

# Seconds that each worker leaves to the one before it, where none has the model loaded.
STEP = 1.5
# And to one that has it loaded and a free slot: it needs milliseconds, unless something is wrong.
AWHILE = 3.0
# How long a load takes, where that was never measured.
LOAD_S = 10.0
# Room beside the weights, as a part of them.
BESIDE = 1.1


@dataclass(frozen=True, slots=True)
class Ask:
    """What waits for one model. `folder`: its files among a worker's models; "": not in one."""

    model: str
    engine: str = ""
    folder: str = ""
    # The generation that has waited for the longest; how many wait.
    first: str = ""
    waiting: int = 0
    # Seconds of an answer and of a load, as measured; 0: not yet.
    answer_s: float = 0.0
    load_s: float = 0.0
    # The workers that an admin chose; empty: any.
    chosen: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reason:
    """Why nobody takes it. `kind`: no_worker, machine_gone, draining or refused; `name` of a
    worker."""

    kind: str
    name: str = ""


def delay(
    me: str, ask: Ask, workers: Sequence[WorkerState], away: Sequence[WorkerState], engines: Any
) -> float | None:
    """For how many seconds a worker that has not loaded it leaves what waits to others; None: it is
    not for this one. `workers` live, `away` are known and silent."""
    able = [worker for worker in workers if suits(worker, ask) and worker.duty == duty.ON]
    names = {worker.name for worker in able}
    if ask.chosen and me not in ask.chosen:
        return None
    if me not in names:
        # Somebody has to say that it cannot be, where nobody could ever do it.
        resting = [each for each in workers if each.name != me and suits(each, ask)]
        return None if resting or any(suits(each, ask) for each in away) else 0.0
    serving = [e for e in engines if e.model == ask.model and e.worker in names - {me}]
    if serving:
        return _beside(ask, serving)
    ranked = sorted(able, key=lambda worker: _rank(worker, ask, engines))
    return STEP * [worker.name for worker in ranked].index(me)


def suits(worker: WorkerState, ask: Ask) -> bool:
    """Whether it has the engine, the files and the memory, and an admin lets it."""
    if ask.chosen and worker.name not in ask.chosen:
        return False
    there = not ask.folder or ask.folder in worker.folders
    return there and ask.engine in worker.engines and ask.model not in worker.lacks


def why(ask: Ask, roster: Collection[Seen]) -> Reason | None:
    """What to tell those who wait; None where somebody can take it."""
    fit = [seen for seen in roster if suits(seen.state, ask)]
    if any(seen.lives and seen.state.duty == duty.ON for seen in fit):
        return None
    for states, kind in (
        ({duty.DRAINING, duty.DRAINED}, "draining"),
        ({duty.REFUSED}, "refused"),
    ):
        if found := [s for s in fit if s.lives and s.state.duty in states]:
            return Reason(kind, found[0].state.name)
    if gone := [seen for seen in fit if not seen.lives]:
        return Reason("machine_gone", max(gone, key=lambda seen: seen.at).state.name)
    return Reason("no_worker")


def look(client: redis.Redis, model: str, queue: str = "") -> Ask | None:
    """What waits for a model; None: nothing does."""
    queue = queue or model
    first = _first(client, queue)
    if first is None:
        return None
    pipe = client.pipeline(transaction=False)
    pipe.zcard(f"waiting:{queue}")
    pipe.hmget(f"pace:{model}", "ms", "load_ms")
    pipe.hget(duty.PLACED, model)
    waiting, paces, chosen = pipe.execute()
    answer, load = (float(pace or 0) / 1000 for pace in paces)
    spec = _spec(client, first)
    folder = str(spec.get("source", {}).get("store") or "").partition("/")[0]
    names = frozenset(json.loads(chosen)) if chosen else frozenset()
    head = (model, str(spec.get("engine") or ""), folder, first)
    return Ask(*head, waiting, answer, load, names)


def measured(client: redis.Redis, model: str, seconds: float) -> None:
    """How long it took to load."""
    client.hset(f"pace:{model}", "load_ms", str(round(seconds * 1000)))


def _first(client: redis.Redis, queue: str) -> str | None:
    """What has waited for the longest. What was taken back, and is gone, is forgotten."""
    while found := client.zrange(f"waiting:{queue}", 0, 0):
        (id,) = (each.decode() for each in found)  # type: ignore[union-attr]
        if client.exists(RUN + id):
            return id
        client.zrem(f"waiting:{queue}", id)
    return None


def _spec(client: redis.Redis, id: str) -> dict[str, Any]:
    entries: Any = client.xrange(LOG + id, count=1)
    if not entries or b"request" not in entries[0][1]:
        return {}
    spec: dict[str, Any] = json.loads(entries[0][1][b"request"])["model"]
    return spec


def _beside(ask: Ask, serving: Sequence[EngineState]) -> float:
    """Beside those that serve it already: where the line takes longer than a load."""
    if any(e.state != "loading" and e.running < e.slots for e in serving):
        return AWHILE
    slots = sum(max(1, engine.slots) for engine in serving)
    load = ask.load_s or LOAD_S
    return 0.0 if ask.waiting * ask.answer_s / slots > load else load


def _rank(worker: WorkerState, ask: Ask, engines: Sequence[EngineState]) -> tuple[Any, ...]:
    """Where it runs best: memory for it, little else to do, and fast as far as that is known."""
    busy = sum(engine.running for engine in engines if engine.worker == worker.name)
    free = max(worker.memory_free, int(worker.machine.get("graphics_free") or 0))
    size = worker.sizes.get(ask.folder, 0)
    speed = worker.measured.get(ask.model, 0.0)
    return (free < BESIDE * size, busy, -speed, -free, worker.name)
