"""A site in a SQLite file with something in every table, and PostgreSQL databases to move it to."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from pytest_django import DjangoDbBlocker

from chatsite import databases
from chatsite.moving import copying
from chatsite.moving.copying import Line
from tests import postgres
from tests.site.moving.old import Old, make

# They bring their PostgreSQL along and would do the same twice where all tests run on one.
collect_ignore_glob = ["test_*.py"] if os.environ.get("DATABASE_URL") else []
NewTarget = Callable[[], str]
Moving = Callable[[Old, str], list[Line]]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The full site, made once: a test copies the file."""
    path = tmp_path_factory.mktemp("old") / "db.sqlite3"
    make(path)
    return path


@pytest.fixture
def old(template: Path, tmp_path: Path) -> Old:
    """As the site leaves it when it is stopped: one file."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    with sqlite3.connect(template) as source, sqlite3.connect(data / "db.sqlite3") as copy:
        source.backup(copy)
    source.close()
    copy.close()
    return Old(data)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    folder = postgres.needed()
    with postgres.server(folder) as url:
        yield url


@pytest.fixture
def new_target(server: str) -> Iterator[NewTarget]:
    """Addresses of empty databases of their own."""
    made: list[str] = []

    def new() -> str:
        name = f"office_{len(made)}"
        made.append(name)
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return server.replace("/postgres?", f"/{name}?")

    yield new
    with psycopg.connect(server, autocommit=True) as admin:
        for name in made:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def moving(django_db_blocker: DjangoDbBlocker) -> Moving:
    """The move without the command around it, in this process."""

    def move(old: Old, target: str) -> list[Line]:
        with django_db_blocker.unblock():
            return copying.move(old.database, databases.configure(target), lambda _: None)

    return move


@pytest.fixture
def target(new_target: NewTarget) -> str:
    return new_target()
