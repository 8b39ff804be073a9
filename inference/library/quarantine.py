"""Where files lie that were refused: out of the way, with the reason beside them, for a week.
Nothing reads them again."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from inference.library.nouns import Errand, LibraryError

NAME = ".quarantine"
# Seconds that somebody has to look at them: they may be as large as any model.
KEPT = 7 * 86_400


def put(models: Path, incoming: Path, errand: Errand, error: LibraryError) -> None:
    """Set aside what came of an errand; what is there of its last try goes."""
    folder = models / NAME
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / errand.id
    shutil.rmtree(place, ignore_errors=True)
    told = {
        **error.to_dict(),
        "text": str(error),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "from": errand.repo or errand.url or errand.path,
        "revision": errand.revision,
    }
    reason = folder / f"{errand.id}.json"
    reason.write_text(json.dumps(told, ensure_ascii=False, indent=1), encoding="utf-8")
    incoming.rename(place)


def sweep(models: Path, kept: float = KEPT) -> None:
    """Throw away what has lain there long enough."""
    folder = models / NAME
    old = time.time() - kept
    for reason in folder.glob("*.json") if folder.is_dir() else ():
        try:
            if reason.stat().st_mtime < old:
                shutil.rmtree(reason.with_suffix(""), ignore_errors=True)
                reason.unlink()
        except OSError:
            continue
