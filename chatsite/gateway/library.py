"""The door to the models' files: errands, questions, machines. It touches no hub
and no weights."""

from __future__ import annotations

from inference.library.nouns import (
    Errand,
    ErrandState,
    FileRef,
    Hub,
    Landed,
    LibraryError,
    Machine,
    Shapes,
    Variant,
)

__all__ = [
    "Errand",
    "ErrandState",
    "FileRef",
    "Hub",
    "Landed",
    "LibraryError",
    "Machine",
    "Shapes",
    "Variant",
]
