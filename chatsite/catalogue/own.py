"""Models that an engine of somebody's own runs: the site knows their names, and hands on what the
engine wants to know. The one writer of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from chatsite.catalogue import actions, aliases
from chatsite.catalogue.errors import BadNameError, ModelNameTakenError
from chatsite.catalogue.models import Model
from chatsite.gateway import engines

# Those that come with the product have pages of their own for what they need.
BUILT_IN = frozenset({"llamacpp", "llamacpp-embed", "vllm", "remote", "echo"})


@dataclass(frozen=True, slots=True)
class Choice:
    """What an engine is told at the load, in words that it alone understands."""

    engine: str
    source: dict[str, Any]
    settings: dict[str, Any]


def names() -> list[str]:
    """The engines that the machines of this moment have beside the usual ones."""
    room = engines.look()
    found = {name for worker in (room.workers if room else ()) for name in worker.engines}
    return sorted(found - BUILT_IN)


def is_own(model: Model) -> bool:
    return model.engine not in BUILT_IN


@transaction.atomic
def add(name: str, choice: Choice) -> Model:
    """Refused with BadNameError or ModelNameTakenError."""
    name = name.strip()
    if not aliases.is_name(name):
        raise BadNameError(name)
    if aliases.taken(name):
        raise ModelNameTakenError(name)
    model = Model(name=name, engine=choice.engine)
    _set(model, choice)
    return model


@transaction.atomic
def change(pk: int, choice: Choice) -> Model:
    """It counts from the next time that the model is loaded."""
    model = Model.objects.select_for_update().get(pk=pk)
    _set(model, choice)
    return model


def _set(model: Model, choice: Choice) -> None:
    model.engine, model.source, model.settings = choice.engine, choice.source, choice.settings
    actions.save(model)
