"""On which workers' disks the files of a model lie. It writes nothing."""

from __future__ import annotations

from chatsite.catalogue.models import Delivery, Model
from chatsite.gateway import library
from chatsite.gateway.library import LibraryError


def homes(model: Model) -> list[str]:
    """One worker for each disk: where they came first, then where they are seen or were copied."""
    copied = Delivery.objects.filter(
        kind=Delivery.Kind.COPY,
        state=Delivery.State.DONE,
        folder=model.folder,
        created__gte=model.created,
    )
    names = [*_having(model), *copied.values_list("node", flat=True)]
    places = {library.place(name): name for name in reversed(names)}
    places.pop(library.place(model.node), None)
    return [model.node, *places.values()]


def home(model: Model) -> str:
    """Where something is done with its files: where they came, unless only another answers."""
    having = _having(model)
    same = [name for name in having if library.place(name) == library.place(model.node)]
    return model.node if same or not having else having[0]


def _having(model: Model) -> list[str]:
    try:
        return [worker.name for worker, _ in library.cards() if model.folder in worker.folders]
    except LibraryError:
        return []
