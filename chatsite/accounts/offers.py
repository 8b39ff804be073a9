"""Which models a key can be limited to. This room knows none: the one that does says so here."""

from __future__ import annotations

from collections.abc import Callable

from chatsite.accounts.models import User

Names = Callable[[User], list[str]]
_sources: list[Names] = []


def declare(names: Names) -> None:
    """Called once at the start by the room that knows which models a person may use."""
    _sources.append(names)


def names_for(user: User) -> list[str]:
    """The models that this person may use, by the names that programs call them."""
    return [name for names in _sources for name in names(user)]
