"""Names as Ollama's clients say them: a name without a tag and with the tag `latest` are one."""

from __future__ import annotations

from chatsite.api import errors
from chatsite.api.access import Caller
from chatsite.catalogue import aliases
from chatsite.catalogue.models import Model

LATEST = ":latest"


def listed(model: Model) -> str:
    """The name with a tag, as every client expects it in a list."""
    return model.name if ":" in model.name else model.name + LATEST


def wanted(name: str) -> list[str]:
    """What the catalogue may call it."""
    return [name, name.removesuffix(LATEST)]


def find(caller: Caller, name: str) -> Model:
    found = aliases.pick(caller.models(wanted(name)), wanted(name))
    if found is None:
        raise unknown(name)
    return found


def unknown(name: str) -> errors.ApiError:
    # Clients look for these words.
    return errors.ApiError(404, "model_not_found", f"model '{name[:200]}' not found")
