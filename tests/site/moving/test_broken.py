"""A move that is cut off in the middle: the new database is as it was, the old one untouched."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import psutil
import psycopg
import pytest

from tests import postgres
from tests.live import ROOT, clean_environment
from tests.site.moving.old import Old
from tests.site.moving.test_moving import tables


@pytest.fixture
def own_server() -> Iterator[str]:
    """One that a test may hurt."""
    folder = postgres.needed()
    with postgres.server(folder) as url:
        yield url


def mover(target: str) -> psycopg.Connection:
    return psycopg.connect(target, autocommit=True)


def while_copying(target: str, act: Callable[[int], None]) -> threading.Thread:
    """Calls with the number of the server's process that copies, once rows are on their way."""

    def watch() -> None:
        query = b"SELECT pid FROM pg_stat_progress_copy WHERE tuples_processed > 500"
        until = time.monotonic() + 120
        with suppress(psycopg.OperationalError), mover(target) as connection:
            while time.monotonic() < until:
                row = connection.execute(query).fetchone()
                if row is not None:
                    act(row[0])
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def swell(old: Old) -> None:
    """Enough rows, and large ones, that somebody can cut in."""
    with old.changing() as source:
        source.execute("UPDATE gateway_generation SET text = hex(randomblob(4000))")
        found = source.execute("PRAGMA table_info(gateway_generation)").fetchall()
        rest = ", ".join(row[1] for row in found[1:])
        more = f"SELECT lower(hex(randomblob(16))), {rest} FROM gateway_generation"  # noqa: S608
        for _ in range(3):
            source.execute(f"INSERT INTO gateway_generation {more}")


def test_a_connection_that_is_cut(old: Old, own_server: str) -> None:
    swell(old)
    before = old.digest

    def cut(pid: int) -> None:
        with mover(own_server) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", [pid])

    watcher = while_copying(own_server, cut)
    done = old.move(own_server)
    watcher.join()
    assert done.returncode == 1, done.stdout
    assert "The move broke off" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert tables(own_server) == 0
    assert old.digest == before
    # And nothing stands in the way of the next one.
    assert old.move(own_server).returncode == 0


def test_a_full_disk(old: Old) -> None:
    """A server that may write no file beyond 17 MB gets as far as with a full disk."""
    folder = postgres.needed()
    swell(old)
    before = old.digest
    with postgres.server(folder, largest=17 << 20) as target:
        done = old.move(target)
        assert done.returncode == 1, done.stdout
        assert "The move broke off: could not extend file" in done.stdout
        assert tables(target) == 0
    assert old.digest == before


def test_the_mover_is_killed(old: Old, own_server: str) -> None:
    swell(old)
    before = old.digest
    environment = clean_environment() | {"CHATSITE_DATA_DIR": str(old.data)}
    command = [sys.executable, str(ROOT / "manage.py"), "move", "--to", own_server]
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as move:
        watcher = while_copying(own_server, lambda _: move.send_signal(signal.SIGKILL))
        watcher.join()
        assert move.wait(10) == -signal.SIGKILL
    until = time.monotonic() + 10
    while tables(own_server) and time.monotonic() < until:
        time.sleep(0.1)
    assert tables(own_server) == 0
    assert old.digest == before


def test_it_needs_no_more_memory_for_more_rows(old: Old, own_server: str) -> None:
    small = peak(old, own_server)
    with psycopg.connect(own_server, autocommit=True) as admin:
        admin.execute("CREATE DATABASE bigger")
    swell(old)
    size = old.database.stat().st_size
    big = peak(old, own_server.replace("/postgres?", "/bigger?"))
    print(f"\nmoved {size >> 20} MB with a peak of {big >> 20} MB; little: {small >> 20} MB")
    assert size > 80 << 20
    assert big - small < 40 << 20


def peak(old: Old, target: str) -> int:
    """The most memory that a move had, in bytes."""
    environment = clean_environment() | {"CHATSITE_DATA_DIR": str(old.data)}
    command = [sys.executable, str(ROOT / "manage.py"), "move", "--to", target]
    most = 0
    with subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL) as move:
        process = psutil.Process(move.pid)
        while move.poll() is None:
            with suppress(psutil.Error):
                most = max(most, process.memory_info().rss)
            time.sleep(0.02)
    assert move.returncode == 0
    return most
