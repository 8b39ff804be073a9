"""What errands other than a download do. It knows no Redis."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from inference.library import bundle, copying, importing
from inference.library.meter import Tell
from inference.library.nouns import Errand, LibraryError
from inference.library.store import Store


def run(errand: Errand, store: Store, report: Tell) -> dict[str, Any]:
    """The result as a dict: a Landed of an import or a copy, {"path", "size"} of an export,
    {"freed"}."""
    match errand.kind:
        case "import":
            return asdict(importing.run(errand, store, report))
        case "copy":
            return asdict(copying.run(errand, store, report))
        case "export":
            return bundle.export(errand, store, report)
        case "remove":
            return {"freed": store.remove(errand.folder)}
    raise LibraryError("unknown_errand", errand.kind)
