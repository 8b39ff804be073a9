"""What the site may ask of the engine room: cancel, and the place in the queue. All by Redis."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import redis

from inference import lease, placement
from inference.board import (
    SEEN,
    EngineState,
    Seen,
    WorkerState,
    ask_unload,
    engines,
    forget,
    keep,
    roster,
    workers,
)
from inference.contract import TASKS, Finish
from inference.duty import place, rest, resting, resume
from inference.placement import Reason
from inference.release import OURS, announce

# What the board tells belongs to what the site may ask.
__all__ = [
    "OURS",
    "QUEUE",
    "RING",
    "SEEN",
    "EngineState",
    "Place",
    "Reason",
    "Seen",
    "WorkerState",
    "announce",
    "ask_places",
    "ask_unload",
    "cancel",
    "engines",
    "forget",
    "give_up",
    "keep",
    "place",
    "places",
    "read_places",
    "reasons",
    "rest",
    "resting",
    "resume",
    "roster",
    "workers",
]

# The task that rings a worker, by name: the site never imports the worker.
RING, QUEUE = "inference.ring", "inference"


def cancel(client: redis.Redis, id: str) -> str | None:
    """Stop a generation. The model to ring, "" where it is over, None where nobody knows it."""
    finish = json.dumps(asdict(Finish(id, "cancelled")))
    return lease.cancel(client, id, finish)


def give_up(client: redis.Redis, id: str, error: dict[str, object]) -> bool:
    """End what waits with an error; False where it does not wait any more."""
    return lease.give_up(client, id, json.dumps(asdict(Finish(id, "error", error=error))))


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the queue: how many go before it, and about how many seconds it will wait (None
    where nothing is known of it yet)."""

    ahead: int
    seconds: float | None


def ask_places(pipe: Any, wanted: Sequence[tuple[str, str]]) -> None:
    """Ask in a pipeline (an asynchronous one, too), in one command, for the places of many
    (model, id); `read_places` reads its answer."""
    flat = [value for pair in wanted for value in pair]
    pipe.eval(lease.PLACES.text, 0, *flat)


def read_places(answer: Sequence[Sequence[int]]) -> list[Place | None]:
    """The places in the order of the question, None for what does not wait."""
    return [
        Place(pair[0], pair[1] / 1000 if pair[1] >= 0 else None) if pair else None
        for pair in answer
    ]


def places(client: redis.Redis, wanted: Sequence[tuple[str, str]]) -> list[Place | None]:
    """The places of many (model, id), in the order in which fairness will take them."""
    pipe = client.pipeline(transaction=False)
    ask_places(pipe, wanted)
    return read_places(pipe.execute()[0])


def reasons(client: redis.Redis, queues: Iterable[str]) -> dict[str, Reason]:
    """Why nobody takes what waits in these queues, for those of which that is so."""
    found, known = {}, roster(client)
    for queue in queues:
        ask = placement.look(client, queue.removesuffix(TASKS), queue)
        reason = ask and placement.why(ask, known)
        if reason:
            found[queue] = reason
    return found
