"""What a delivery is about, as it is told apart and stored: folders, hashes, words that a database
takes. It writes no row."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from chatsite.catalogue.aliases import spell
from chatsite.catalogue.models import Delivery
from chatsite.gateway.library import Variant

Kind = Delivery.Kind


def folder_of(repo: str, revision: str, variant: Variant) -> str:
    """Where a variant lies: readable, and another for each. No part of a name becomes a path. A
    quantization may be there twice, for two models of one repository."""
    paths = [each.path for each in variant.files]
    whole = hashlib.sha256("\n".join([repo, revision, *paths]).encode()).hexdigest()
    parts = (spell(repo)[:80], spell(variant.quant)[:20], whole[:12])
    return "-".join(part for part in parts if part)


def subject(row: Delivery) -> str:
    """What a delivery is about: one live one of each. A folder is fetched or removed, by turns; its
    copies are told apart by their machines."""
    about = [row.folder] if row.folder else [row.url or row.path, row.node]
    written = [row.path] if row.kind == Kind.EXPORT else []
    copied = ["copy", row.node] if row.kind == Kind.COPY or row.about.get("copy") else []
    return hashlib.sha256("\n".join([*about, *written, *copied]).encode()).hexdigest()


def storable(value: Any) -> Any:
    """What a file says of itself may have half characters and NULs, which no database takes."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode().replace("\0", "")
    if isinstance(value, Mapping):
        return {storable(key): storable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable(each) for each in value]
    return value
