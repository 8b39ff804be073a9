"""Makes a site's SQLite file for moving: in a process of its own, since settings are read once."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.live import ROOT, clean_environment

# Rows of the big table: messages, in trees with branches.
CONVERSATIONS, BRANCHES = 40, 30
FILL = Path(__file__).with_name("filling.py")


@dataclass(frozen=True, slots=True)
class Old:
    data: Path

    @property
    def database(self) -> Path:
        return self.data / "db.sqlite3"

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.database.read_bytes()).hexdigest()

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Past all rules of the site, as a file that has seen much may be."""
        connection = sqlite3.connect(self.database)
        try:
            with connection:
                yield connection
        finally:
            connection.close()

    def move(self, target: str, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        """`manage.py move`, as a person calls it."""
        return manage(self.data, "move", *options, DATABASE_URL=target, **env)


def manage(data: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    settings = {"CHATSITE_DATA_DIR": str(data), **env}
    return subprocess.run(
        command,
        env=clean_environment() | settings,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
    )


def make(database: Path) -> None:
    done = manage(database.parent, "migrate", "-v", "0")
    assert done.returncode == 0, done.stderr
    code = FILL.read_text()
    counts = {"CONVERSATIONS": str(CONVERSATIONS), "BRANCHES": str(BRANCHES)}
    done = manage(database.parent, "shell", "-v", "0", "-c", code, **counts)
    assert done.returncode == 0, done.stderr
    assert os.path.getsize(database) > 1_000_000  # noqa: PTH202 - it is looked at once
