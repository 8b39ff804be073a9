"""The two databases of a move, beside the site's own: the source can only be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connections

from chatsite import databases

SOURCE, TARGET = "move_source", "move_target"


@contextmanager
def opened(source: Path, target: dict[str, Any]) -> Iterator[None]:
    settings = {SOURCE: reading(source), TARGET: target}
    # Fills in what Django wants beside; it asks for the default one, too.
    connections.configure_settings({**connections.settings, **settings})
    connections.settings.update(settings)
    try:
        connections[SOURCE].ensure_connection()
        # What is no UTF-8 would else end the move in the middle.
        connections[SOURCE].connection.text_factory = lambda raw: raw.decode(errors="replace")
        yield
    finally:
        for alias in settings:
            connections[alias].close()
            del connections[alias]
            del connections.settings[alias]


def reading(path: Path) -> dict[str, Any]:
    """SQLite refuses every write through this connection."""
    found = databases.sqlite(path)
    options = {"uri": True, "timeout": 20, "init_command": "PRAGMA query_only=ON"}
    return {**found, "NAME": f"file:{quote(str(path))}?mode=ro", "OPTIONS": options}
