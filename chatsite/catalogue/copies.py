"""On which machines a model's files lie, and how they come to more of them, so that the site
downloads once. It writes no row itself: `deliveries` does."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.utils import timezone

from chatsite.accounts.models import User
from chatsite.catalogue import deliveries, library
from chatsite.catalogue.errors import (
    HereAlreadyError,
    MachineGoneError,
    NoSourceError,
    NotHereError,
    Refused,
)
from chatsite.catalogue.homes import homes
from chatsite.catalogue.library import Card, Fit
from chatsite.catalogue.models import Delivery, Model
from chatsite.gateway import library as door
from chatsite.gateway.engines import WorkerState
from chatsite.gateway.library import LibraryError, Variant

log = logging.getLogger(__name__)
# How long one that failed by itself rests before it is tried again.
AGAIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Spot:
    """A machine and one model's files. `state`: has, lacks, or away (it has them, and does not
    answer). `row`: the copy that is under way, or the last one where that failed."""

    name: str
    state: str
    fit: Fit | None = None
    row: Delivery | None = None


def spots(model: Model) -> list[Spot]:
    """All machines of this site, those that have the files first."""
    if not model.folder:
        return []
    try:
        cards = _machines(door.cards())
    except LibraryError:
        return []
    rows = _last_copies(model)
    found = [_spot(model, card, rows.get(door.place(card[0].name))) for card in cards]
    known = {door.place(worker.name) for worker, _ in cards}
    away = [name for name in homes(model) if name and door.place(name) not in known]
    found += [Spot(name, "away") for name in away]
    return sorted(found, key=lambda spot: (spot.state != "has", spot.state, spot.name))


def _machines(cards: Iterable[Card]) -> list[Card]:
    """Several workers of one data directory are one place for files."""
    first: dict[str, Card] = {}
    for card in cards:
        first.setdefault(door.place(card[0].name), card)
    return list(first.values())


def _spot(model: Model, card: Card, row: Delivery | None) -> Spot:
    worker = card[0]
    if model.folder in worker.folders:
        return Spot(worker.name, "has")
    shown = row if row and (row.is_live or row.state == Delivery.State.FAILED) else None
    (fit,) = library.fits([variant_of(model)], [card])
    return Spot(worker.name, "lacks", fit, shown)


def variant_of(model: Model) -> Variant:
    """What the machine has to run."""
    told = {name: model.landed.get(name) or "" for name in ("quant", "format")}
    return Variant.from_dict({**told, **{n: model.landed.get(n) for n in ("files", "shapes")}})


def _last_copies(model: Model) -> dict[str, Delivery]:
    rows = Delivery.objects.filter(kind=Delivery.Kind.COPY, model=model).order_by("created")
    return {door.place(row.node): row for row in rows}


def begin(user: User | None, model: Model, name: str) -> Delivery:
    """Bring a model's files to a machine from one that has them. Refused with NotHereError,
    MachineGoneError, HereAlreadyError, NoSourceError, UnderwayError."""
    if not model.folder:
        raise NotHereError
    try:
        workers = [worker for worker, _ in door.cards()]
    except LibraryError:
        raise MachineGoneError from None
    target = next((worker for worker in workers if worker.name == name), None)
    if target is None or target.duty == "refused":
        raise MachineGoneError
    if model.folder in target.folders:
        raise HereAlreadyError(model.name)
    source = giver(model, workers)
    if source is None:
        raise NoSourceError
    return deliveries.begin_copy(user, model, name, source.name)


def giver(model: Model, workers: Sequence[WorkerState]) -> WorkerState | None:
    """Who has the files and offers them: where they came first, else another."""
    able = [each for each in workers if each.address and model.folder in each.folders]
    return min(able, key=lambda each: each.name != model.node, default=None)


def wanted() -> list[tuple[Model, str]]:
    """Models and machines that an admin chose for them, which live and lack the files, and for
    which nothing is under way or was given up."""
    models = [model for model in Model.objects.exclude(nodes=[]) if model.enabled and model.folder]
    if not models:
        return []
    try:
        living = {worker.name: worker for worker, _ in door.cards()}
    except LibraryError:
        return []
    return [
        (model, name)
        for model in models
        for name in model.nodes
        if name in living
        and model.folder not in living[name].folders
        and giver(model, list(living.values()))
        and _is_due(_last_copies(model).get(door.place(name)))
    ]


def _is_due(row: Delivery | None) -> bool:
    """What an admin cancelled stays so; what failed rests for a while."""
    if row is None or row.state == Delivery.State.DONE:
        return True
    failed = row.state == Delivery.State.FAILED
    return failed and bool(row.ended and row.ended < timezone.now() - AGAIN)


def follow() -> None:
    """Begin what is wanted. The steward calls it; several may do so at once."""
    for model, name in wanted():
        try:
            begin(None, model, name)
        except Refused as refused:
            log.debug("No copy of %s to %s: %s.", model.name, name, refused.kind)


def arrive(user: User, found: Any, variant: Variant, about: dict[str, Any], name: str) -> Delivery:
    """Bring a repository's variant to a machine: from another machine where the model is on this
    site already, else from the hub."""
    try:
        return deliveries.begin_download(user, found.repo, found.revision, variant, about, name)
    except HereAlreadyError as here:
        model = Model.objects.filter(name=here.model).first()
        if not name or model is None:
            raise
    return begin(user, model, name)
