"""What must be in place before the web part starts: tables, static files, the starter model."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError

from chatsite import databases
from chatsite.catalogue import actions as catalogue
from chatsite.supervisor.terminal import Terminal
from chatsite.supervisor.trouble import Trouble

# Of everybody who changes the tables of this database; any number that nobody else uses.
LOCK = 7_310_212


def prepare(terminal: Terminal) -> bool:
    """Whether somebody has an account already. Leaves no database connection open."""
    try:
        migrate(terminal)
        collect(terminal)
        catalogue.register_starter()
        return get_user_model().objects.exists()
    except DatabaseError as error:
        # This text is for the person who runs the site: the database's own words help him.
        raise Trouble("database", databases.trouble(error)) from error
    finally:
        connections.close_all()


def migrate(terminal: Terminal) -> None:
    with alone():
        plan = pending()
        if plan:
            terminal.part("database", f"applying {plan} migrations")
            call_command("migrate", interactive=False, verbosity=0)


def pending() -> int:
    """How many migrations the database lacks."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


@contextmanager
def alone() -> Iterator[None]:
    """Two machines that start at the same moment migrate one after the other. SQLite's lock is
    that of the data directory."""
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def collect(terminal: Terminal) -> None:
    """Copy, name and compress the static files, but only when one of them has changed, and one
    process after the other."""
    root = Path(settings.STATIC_ROOT)
    stamp = root.parent / f".{root.name}-stamp"
    now = fingerprint()
    # A web process on a machine of its own: nothing has been kept there yet.
    root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (root.parent / f".{root.name}-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if root.is_dir() and stamp.is_file() and stamp.read_text() == now:
            return
        terminal.part("static", "preparing the static files")
        stamp.unlink(missing_ok=True)
        call_command("collectstatic", interactive=False, clear=True, verbosity=0)
        stamp.write_text(now)


def fingerprint() -> str:
    """Changes with any static file's name, size or time, and with the programs that read them."""
    digest = hashlib.sha256(f"{version('django')} {version('servestatic')}".encode())
    for finder in get_finders():
        for path, storage in finder.list([]):
            found = Path(storage.path(path)).stat()
            digest.update(f"\n{path} {found.st_size} {found.st_mtime_ns}".encode())
    return digest.hexdigest()
