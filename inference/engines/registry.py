"""Engine names and where their classes are; the heavy module is imported only when it is asked
for."""

from __future__ import annotations

import importlib
import logging
import os
from functools import cache

from inference.engines.base import Engine, LoadError

log = logging.getLogger("inference.engine")
ENGINES = {
    "llamacpp": "inference.engines.llamacpp.engine:LlamaCppEngine",
    "llamacpp-embed": "inference.engines.embedding:LlamaCppEmbedder",
    "vllm": "inference.engines.vllm.engine:VllmEngine",
    "remote": "inference.engines.remote:RemoteEngine",
    "echo": "inference.engines.echo:EchoEngine",
}


class EngineMissingError(LoadError):
    """There is no such engine here, or its module cannot be imported."""

    kind = "engine_missing"


def make(name: str) -> Engine:
    """A new engine. CHATSITE_ENGINES adds `name=module:Class,…`."""
    place = _known().get(name)
    if place is None:
        raise EngineMissingError(f"No engine here is called {name}: see CHATSITE_ENGINES.")
    module, _, cls = place.partition(":")
    try:
        found = getattr(importlib.import_module(module), cls)
    except Exception as error:
        # Whatever its author's module does while it is imported.
        raise EngineMissingError(f"{place} cannot be imported: {error}") from error
    engine: Engine = found()
    return engine


def names() -> list[str]:
    """All engines that there are here."""
    return list(_known())


def package(name: str) -> str:
    """The top package of a known engine's module: it can be looked for without importing it."""
    return _known()[name].partition(":")[0].partition(".")[0]


def _known() -> dict[str, str]:
    return ENGINES | _own(os.environ.get("CHATSITE_ENGINES", ""))


@cache
def _own(text: str) -> dict[str, str]:
    found = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, _, place = pair.partition("=")
        module, _, cls = place.partition(":")
        if name and module and cls:
            found[name] = place
        else:
            log.error("CHATSITE_ENGINES: %r is not like name=package.module:Class.", pair)
    return found
