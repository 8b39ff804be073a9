"""Settings that lie in files, as containers are given secrets: `REDIS_URL_FILE` names a file with
the value of `REDIS_URL`, and so for every setting of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MARK = "_FILE"
OURS = ("CHATSITE_", "DATABASE_URL", "REDIS_URL", "HF_TOKEN")


def opened(environ: Mapping[str, str]) -> dict[str, str]:
    """What the named files say, without the line's end that editors put there. A file goes before
    the variable itself."""
    found = {}
    for name, path in environ.items():
        base = name.removesuffix(MARK)
        if base == name or not base.startswith(OURS):
            continue
        try:
            found[base] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            # Every command needs it, and this is said to a person: no traceback.
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SystemExit(f"{name} names a file that cannot be read: {path}: {reason}") from None
    return found
