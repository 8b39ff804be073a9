"""Names that programs ask for, and the model that an admin meant by them. It reads only."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from chatsite.catalogue.models import Alias, Model

# As repositories and Ollama's tags are written; nothing here becomes a path (R6).
NAME = re.compile(r"[\w.:/@+-]{1,200}")
UNWANTED = re.compile(r"[^\w.-]+", re.ASCII)


def is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


def names_of(model: Model) -> set[str]:
    """All that it answers to."""
    return {model.name, *(alias.name for alias in model.aliases.all())}


def pick(models: Iterable[Model], names: Sequence[str]) -> Model | None:
    """Of these models the one that is called so, the first name first; its own name goes before
    another's alias."""
    listed = list(models)
    for name in names:
        if found := next((model for model in listed if model.name == name), None):
            return found
    for name in names:
        if found := next((model for model in listed if name in names_of(model)), None):
            return found
    return None


def find(name: str) -> Model | None:
    """Whoever asks: for an admin's own business."""
    found = Model.objects.filter(name=name).first()
    return found or Model.objects.filter(aliases__name=name).first()


def taken(name: str, but: Model | None = None) -> bool:
    """Whether another model is called so."""
    models, known = Model.objects.filter(name=name), Alias.objects.filter(name=name)
    if but is not None and but.pk is not None:
        models, known = models.exclude(pk=but.pk), known.exclude(model=but)
    return models.exists() or known.exists()


def fresh(wishes: Collection[str]) -> str:
    """The first of these names that is free, as programs can write it; else one with a number."""
    written = [text for wish in wishes if (text := spell(wish))] or ["model"]
    for name in written:
        if not taken(name):
            return name
    number = 2
    while taken(f"{written[-1][:190]}-{number}"):
        number += 1
    return f"{written[-1][:190]}-{number}"


def spell(text: str) -> str:
    """Small letters, digits, dots and lines."""
    return UNWANTED.sub("-", text.lower()).strip("-._")[:190]
