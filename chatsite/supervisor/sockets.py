"""Where the embedded broker's socket is: `up` and every other command compute the same path."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

# Socket paths fail at about 108 characters.
LONGEST = 100


def broker(data: Path) -> Path:
    """In the temporary directory, in a folder named by a hash of the data directory, however long
    that one's path is. Not in the login session's runtime directory: that one is taken away at
    logout, from under a site that was to go on."""
    name = "chatsite-" + hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / name / "valkey.sock"
    if len(os.fsencode(path)) >= LONGEST:
        path = Path("/tmp") / name / "valkey.sock"  # noqa: S108 - `up` checks the folder's owner
    return path
