"""What `up` prepares at a first start, made once for all sites that this process starts: the tables
of SQLite and the static files; and a measure of the machine. A site that is laid out from it starts
some seconds sooner; a test of the first start itself takes `Site(laid=False)`."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from inference.library import measure

ROOT = Path(__file__).resolve().parent.parent
PREPARE = """
from chatsite.supervisor import preparation
from chatsite.supervisor.terminal import Terminal
preparation.migrate(Terminal())
preparation.collect(Terminal())
"""
# A machine that was measured before: measuring takes all cores, beside whatever is tested then.
MEASURED = {"bandwidth": 10e9, "rates": dict.fromkeys(measure.FAMILIES, 4e9), "quiet": True}


def lay(data: Path, environment: dict[str, str], *, tables: bool = True) -> None:
    """Into a data directory that has nothing yet. `environment`: without settings of a site."""
    measure.keep(data, MEASURED)
    made = _made(tuple(sorted(environment.items())))
    if tables:
        shutil.copy(made / "db.sqlite3", data)
    shutil.copy(made / ".static-stamp", data)
    # Links, since nobody writes into a static file: it is made anew.
    shutil.copytree(made / "static", data / "static", copy_function=os.link)


@functools.cache
def _made(environment: tuple[tuple[str, str], ...]) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="chatsite-template-"))
    owner = os.getpid()
    atexit.register(lambda: shutil.rmtree(folder) if os.getpid() == owner else None)
    subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "shell", "-v", "0", "-c", PREPARE],
        env=dict(environment) | {"CHATSITE_DATA_DIR": str(folder)},
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder
