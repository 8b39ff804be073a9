"""Engine names and where their classes are; the heavy module is imported only when it is asked
for."""

from __future__ import annotations

import importlib
import os

from inference.engines.base import Engine

ENGINES = {
    "llamacpp": "inference.engines.llamacpp.engine:LlamaCppEngine",
    "llamacpp-embed": "inference.engines.embedding:LlamaCppEmbedder",
    "vllm": "inference.engines.vllm.engine:VllmEngine",
    "remote": "inference.engines.remote:RemoteEngine",
    "echo": "inference.engines.echo:EchoEngine",
}


def make(name: str) -> Engine:
    """A new engine; KeyError for an unknown name. CHATSITE_ENGINES adds `name=module:Class,…`."""
    module, _, cls = _known()[name].partition(":")
    engine: Engine = getattr(importlib.import_module(module), cls)()
    return engine


def names() -> list[str]:
    """All engines that there are here."""
    return list(_known())


def _known() -> dict[str, str]:
    extra = os.environ.get("CHATSITE_ENGINES", "")
    return ENGINES | dict(pair.split("=", 1) for pair in extra.split(",") if pair)
