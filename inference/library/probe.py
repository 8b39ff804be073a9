"""Tries a file before anybody relies on it: loads it in a process of its own that is confined (R4).
What crashes there only with the fast kernels is good without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from inference.library.cell import Trial
from inference.library.meter import Tell
from inference.library.nouns import LibraryError

ROOT = Path(__file__).resolve().parent.parent.parent
GIB = 1 << 30
# Beside the file: what fast kernels lay out anew, the cache of a short context, buffers, libraries.
MARGIN = 3 * GIB
# Seconds for any file, and bytes in each further one: a slow disk, an old processor.
PATIENCE, PACE = 120.0, 20 << 20
# The environment that it gets: no secret, no address, no token.
KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "HOME", "TMPDIR")


def try_out(path: Path, engine: str, tell: Tell, parts: Iterable[Path] = ()) -> dict[str, Any]:
    """Load it and let it compute: {"fast", "defences"}. LibraryError `refused` with a `reason`
    where it does not: crashed, too_slow, cannot_load, cannot_compute. `parts`: all its files."""
    size = sum(each.stat().st_size for each in parts) or path.stat().st_size
    tell({"phase": "testing", "file": path.name})
    word: dict[str, Any] = {}
    for fast in (True, False):
        word = _run(path, engine, fast=fast, size=size)
        if word.get("good"):
            return {"fast": fast, "defences": word["defences"]}
    reason = str(word.get("failed") or "crashed")
    raise LibraryError("refused", str(word.get("text") or reason), reason=reason)


def _run(path: Path, engine: str, *, fast: bool, size: int) -> dict[str, Any]:
    """All that it said, as one; empty where it died before its first word."""
    patience = PATIENCE + size / PACE
    trial = Trial(str(path), engine, fast, memory=2 * size + MARGIN, computing=int(4 * patience))
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    with subprocess.Popen(
        [sys.executable, "-B", "-m", "inference.library.cell"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment,
    ) as process:
        began = time.monotonic()
        try:
            said, _ = process.communicate(json.dumps(asdict(trial)).encode() + b"\n", patience)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
    late = time.monotonic() - began >= patience
    words = _words(said)
    return words if words.get("good") or not late else {**words, "failed": "too_slow"}


def _words(said: bytes) -> dict[str, Any]:
    words: dict[str, Any] = {}
    for line in said.splitlines():
        # It may have died in the middle of a line.
        try:
            word = json.loads(line)
        except ValueError:
            continue
        words |= word if isinstance(word, dict) else {}
    return words
