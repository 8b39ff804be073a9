"""Names that came from elsewhere, and the places below a folder that they may stand for (R6). It
looks at the disk only to see that nothing there leads out again."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

# What file systems take, in bytes; and what still fits below any data directory.
LONGEST_STEP, LONGEST = 255, 1000
# Room for what is put behind a name while its file is not complete.
SPARE = len(".part.version")
STORE = "models"
FOLDER = re.compile(r"[a-z0-9][a-z0-9._-]{0,149}")


class OddNameError(ValueError):
    """A name that is no place below the folder."""


def is_plain(name: str) -> bool:
    """A relative path of plain steps: nothing absolute, hidden, invisible or too long."""
    if len(name.encode(errors="replace")) > LONGEST or "\\" in name or not name.isprintable():
        return False
    return all(map(_is_step, name.split("/")))


def _is_step(step: str) -> bool:
    # A hidden one would be ours: .part, .incoming. Spaces at an end are seen by nobody.
    if not step or step[0] == "." or step != step.strip():
        return False
    return len(step.encode(errors="replace")) + SPARE <= LONGEST_STEP


def below(root: Path, *names: str) -> Path:
    """The place below `root`; OddNameError for what leads elsewhere, also by a link on the disk."""
    name = "/".join(names)
    if not is_plain(name):
        raise OddNameError(name[:200])
    path, steps = root, name.split("/")
    for step in steps:
        path = path / step
        if path.is_symlink():
            raise OddNameError(name[:200])
    if not path.resolve().is_relative_to(root.resolve()):
        raise OddNameError(name[:200])
    return path


def stored(root: Path, folder: str, file: str) -> Path:
    """A file of the store: one folder for each model, and nothing between."""
    if not FOLDER.fullmatch(folder):
        raise OddNameError(folder[:200])
    return below(root, folder, file)


def data_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Where a worker and its processes keep everything."""
    told = environ.get("CHATSITE_DATA_DIR")
    return Path(told) if told else Path(tempfile.gettempdir()) / "chatsite-worker"
