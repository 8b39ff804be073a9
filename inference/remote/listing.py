"""Which models a provider has. It asks once and keeps nothing."""

from __future__ import annotations

from inference.remote.line import Line, Patience
from inference.remote.permit import Permit
from inference.remote.troubles import Trouble

# Somebody waits in front of a page for it.
QUICK = Patience(connect=5.0, first=15.0, silence=10.0, whole=20.0)
MOST, LONGEST = 2000, 200


def list_models(permit: Permit) -> list[str]:
    """Their names, in order; Trouble where the provider does not tell them."""
    line = Line(permit, QUICK)
    try:
        data = line.get("/models")
    finally:
        line.close()
    # Some send the bare list.
    entries = data.get("data", data.get("models")) if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise Trouble("remote_garbage")
    names = {_name(entry) for entry in entries[:MOST]}
    return sorted(names - {""}, key=str.casefold)


def _name(entry: object) -> str:
    name = entry.get("id", entry.get("name")) if isinstance(entry, dict) else entry
    good = isinstance(name, str) and name.isprintable() and len(name) <= LONGEST
    return name if good and isinstance(name, str) else ""
