"""Engine names and where their classes are; the heavy module is imported only when it is asked
for."""

from __future__ import annotations

import importlib
import os

from inference.engines.base import Engine

ENGINES = {
    "llamacpp": "inference.engines.llamacpp.engine:LlamaCppEngine",
    "llamacpp-embed": "inference.engines.embedding:LlamaCppEmbedder",
    "remote": "inference.engines.remote:RemoteEngine",
    "echo": "inference.engines.echo:EchoEngine",
}


def make(name: str) -> Engine:
    """A new engine; KeyError for an unknown name. CHATSITE_ENGINES adds `name=module:Class,…`."""
    extra = os.environ.get("CHATSITE_ENGINES", "")
    known = ENGINES | dict(pair.split("=", 1) for pair in extra.split(",") if pair)
    module, _, cls = known[name].partition(":")
    engine: Engine = getattr(importlib.import_module(module), cls)()
    return engine
