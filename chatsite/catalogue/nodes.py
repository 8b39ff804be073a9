"""The machines that run models, as the pages show them: those that answer, those that rest or do
not fit, and those that have gone. What an admin wishes of one is passed on; no row is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import redis

from chatsite.catalogue import showing
from chatsite.catalogue.errors import SiteDownError
from chatsite.catalogue.models import Model
from chatsite.catalogue.showing import Line
from chatsite.gateway import engines, library
from chatsite.gateway.engines import OURS, Room, Seen, WorkerState
from chatsite.gateway.library import Machine

__all__ = ["COMMAND", "OURS", "Node", "act", "names", "nodes"]
# What begins a worker on another machine.
COMMAND = "REDIS_URL=redis://… uv run manage.py worker"
ACTS = {
    "drain": engines.rest,
    "hand-over": lambda name: engines.rest(name, 0),
    "resume": engines.resume,
    "forget": engines.forget,
}


@dataclass(frozen=True, slots=True)
class Node:
    """A worker's machine. `state`: on, draining, drained, refused; or, where it does not answer,
    off (it ended by itself) or gone. `until`: when what runs there is handed over."""

    name: str
    state: str = "gone"
    worker: WorkerState | None = None
    machine: Machine | None = None
    lines: tuple[Line, ...] = ()
    # That lie on its disk.
    models: int = 0
    seen: datetime | None = None
    joined: datetime | None = None
    rests: bool = False
    until: datetime | None = None

    @property
    def lives(self) -> bool:
        return self.state not in {"off", "gone"}

    @property
    def used(self) -> int:
        return self.worker.memory_total - self.worker.memory_free if self.worker else 0

    @property
    def running(self) -> int:
        return sum(line.running for line in self.lines)

    @property
    def waiting(self) -> int:
        return sum(line.waiting for line in self.lines)

    @property
    def others_version(self) -> str:
        """The product's version there, where it is not this site's."""
        told = self.worker.product if self.worker else ""
        return told if told != OURS.product else ""


def nodes() -> list[Node]:
    """Those that answer first. Nothing where Redis does not answer."""
    models = list(Model.objects.filter(provider=None))
    lying = Counter(model.node for model in models if model.node)
    room = engines.look([model.name for model in models])
    try:
        roster, resting = engines.roster(), engines.resting()
    except redis.RedisError:
        return []
    if room is None:
        return []
    found = [_node(seen, models, lying[seen.state.name], room, resting) for seen in roster]
    known = {node.name for node in found}
    lost = [Node(name, models=count) for name, count in lying.items() if name not in known]
    return sorted([*found, *lost], key=lambda node: (not node.lives, node.name))


def names() -> list[str]:
    """Of all that are known."""
    try:
        return [seen.state.name for seen in engines.roster()]
    except redis.RedisError:
        return []


def act(name: str, wish: str) -> None:
    """drain, hand-over, resume or forget. Refused with SiteDownError."""
    try:
        ACTS[wish](name)
    except redis.RedisError:
        raise SiteDownError from None


def _node(
    seen: Seen, models: list[Model], lying: int, room: Room, resting: dict[str, float]
) -> Node:
    worker, until = seen.state, resting.get(seen.state.name)
    state = worker.duty if seen.lives else "off" if worker.duty == "off" else "gone"
    mine = [engine for engine in room.engines if engine.worker == worker.name and seen.lives]
    here = Room(mine, [worker], room.queues)
    lines = [showing.line(model, here) for model in models]
    return Node(
        worker.name,
        state,
        worker,
        library.machine_of(worker),
        tuple(line for line in lines if line.nodes),
        lying,
        _time(seen.at),
        _time(seen.joined),
        until is not None,
        _time(until) if until else None,
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
