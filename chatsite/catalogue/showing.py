"""What the pages show of this moment: which models are loaded, what comes and goes, how much of the
disk is used. It reads rows and what the engine room says, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from chatsite.catalogue.models import Delivery, Model
from chatsite.gateway import engines
from chatsite.gateway.engines import EngineState, Room, WorkerState

# How long the end of a delivery stays in sight by itself, and how many are shown.
STAYS, MOST = timedelta(days=1), 20


@dataclass(frozen=True, slots=True)
class Line:
    """One model at this moment. `state`: off, away (a provider's), loading, loaded or idle (it is
    loaded as soon as somebody asks). The rest is of all machines that have it loaded."""

    model: Model
    state: str
    fraction: float = 0.0
    memory: int = 0
    running: int = 0
    slots: int = 0
    waiting: int = 0
    context_length: int = 0
    tokens_per_second: float | None = None
    nodes: tuple[str, ...] = ()

    @property
    def is_loaded(self) -> bool:
        return self.state == "loaded"


@dataclass(frozen=True, slots=True)
class Moment:
    """All that the page of the models shows. `room` None: Redis does not answer."""

    lines: list[Line]
    deliveries: list[Delivery]
    disk: int
    room: Room | None = field(default=None, repr=False)

    @property
    def is_busy(self) -> bool:
        live = any(row.is_live and row.state != Delivery.State.PAUSED for row in self.deliveries)
        return live or any(line.state == "loading" or line.running for line in self.lines)

    @property
    def here(self) -> list[Line]:
        return [line for line in self.lines if line.model.provider is None]

    @property
    def away(self) -> list[Line]:
        return [line for line in self.lines if line.model.provider is not None]


def moment() -> Moment:
    models = list(Model.objects.select_related("provider").prefetch_related("groups", "aliases"))
    room = engines.look([model.name for model in models if model.provider is None])
    lines = [line(model, room) for model in models]
    return Moment(lines, deliveries(), disk(models), room)


def one(model: Model) -> Line:
    return line(model, engines.look([model.name]))


def line(model: Model, room: Room | None) -> Line:
    if not model.enabled:
        return Line(model, "off")
    if model.provider:
        return Line(model, "away" if model.provider.enabled else "off")
    if room is None:
        return Line(model, "idle")
    mine = [engine for engine in room.engines if engine.model == model.name]
    there = [engine for engine in mine if engine.state != "loading"]
    return Line(
        model,
        "loaded" if there else "loading" if mine else "idle",
        fraction=max((engine.fraction for engine in mine), default=0.0),
        memory=sum(engine.memory_bytes for engine in mine),
        running=sum(engine.running for engine in there),
        slots=sum(engine.slots for engine in there),
        waiting=room.queues.get(model.name, 0),
        context_length=max((engine.context_length for engine in there), default=0),
        tokens_per_second=_measured(model.name, there, room.workers),
        nodes=tuple(engine.worker for engine in mine),
    )


def _measured(
    name: str, there: Iterable[EngineState], workers: Iterable[WorkerState]
) -> float | None:
    """How fast it wrote: as its machines remember it, else by what has been written since the
    load."""
    if known := engines.remembered(workers, name):
        return known
    found = []
    for engine in there:
        tokens = engine.figures.get("generated_tokens", 0)
        seconds = engine.figures.get("decode_seconds", 0)
        if tokens >= 16 and seconds > 0:
            found.append(tokens / seconds)
    return max(found, default=None)


def deliveries() -> list[Delivery]:
    """What is under way, the oldest first; then what has ended of late, or badly."""
    rows = Delivery.objects.select_related("model").order_by("created", "pk")
    live = list(rows.live())
    since = timezone.now() - STAYS
    ended = rows.exclude(state__in=Delivery.LIVE).exclude(kind=Delivery.Kind.REMOVE, state="done")
    recent = [row for row in ended.order_by("-ended")[:MOST] if _stays(row, since)]
    return live + recent


def _stays(row: Delivery, since: datetime) -> bool:
    return row.state == Delivery.State.FAILED or bool(row.ended and row.ended >= since)


def disk(models: Iterable[Model]) -> int:
    """Bytes of all models' files, each folder once."""
    sizes = {model.folder: model.size for model in models if model.folder}
    return sum(sizes.values())
