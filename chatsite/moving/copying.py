"""Copies every row into an empty PostgreSQL, in one transaction of it: all arrives, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import DatabaseError

from chatsite import databases
from chatsite.accounts.models import User
from chatsite.chat import search
from chatsite.chat.models import Conversation, Message
from chatsite.moving import mending
from chatsite.moving.connecting import SOURCE, TARGET, opened
from chatsite.moving.tables import BATCH, Row, Sum, Table, tables
from chatsite.supervisor.preparation import LOCK
from chatsite.supervisor.trouble import Trouble

UNTOUCHED = "Nothing has come into the new database, and the old one is as it was."
Say = Callable[[str], None]
Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Line:
    """What became of one table: the sums of what was read here and of what is there now."""

    table: str
    source: Sum
    target: Sum

    @property
    def is_same(self) -> bool:
        return (self.source.rows, self.source.total) == (self.target.rows, self.target.total)


def move(source: Path, target: dict[str, Any], say: Say) -> list[Line]:
    """The caller holds the lock of the data directory."""
    if not source.is_file():
        raise Trouble("no_source", f"There is no database at {source}; nothing is to be moved.")
    with opened(source, target):
        try:
            connections[TARGET].ensure_connection()
        except DatabaseError as error:
            raise Trouble("database", databases.trouble(error)) from error
        check_source()
        try:
            with transaction.atomic(using=SOURCE), transaction.atomic(using=TARGET):
                return fill(say)
        except (DatabaseError, psycopg.Error, OSError) as error:
            told = " ".join(str(error).split())
            raise Trouble("broken", f"The move broke off: {told}\n{UNTOUCHED}") from error


def check_source() -> None:
    """Both must have the same tables, which are those of this version."""
    executor = MigrationExecutor(connections[SOURCE])
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        text = "The old database is of an earlier version: run `manage.py up` once, and stop it."
        raise Trouble("old_source", text)
    unknown = set(executor.loader.applied_migrations) - set(executor.loader.disk_migrations)
    if unknown:
        raise Trouble("new_source", "The old database is of a later version than this program.")


def fill(say: Say) -> list[Line]:
    execute(f"SELECT pg_advisory_xact_lock({LOCK})")
    call_command("migrate", database=TARGET, interactive=False, verbosity=0)
    refuse_used()
    everything = tables()
    empty(everything)
    sums = []
    for table in everything:
        sums.append(copy(table))
        if sums[-1].rows:
            say(f"{table.name}: {sums[-1].rows} rows")
    say("making the search index")
    index()
    for statement in connections[TARGET].ops.sequence_reset_sql(
        no_style(), [table.model for table in everything]
    ):
        execute(statement)
    # Rows that point at nothing are found now, and not when everything is said to be well.
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    say("comparing both")
    return [compare(table, read) for table, read in zip(everything, sums, strict=True)]


def refuse_used() -> None:
    """The site's own rows of a first start (starter model, kinds of rights) are no reason."""
    if User.objects.using(TARGET).exists() or Conversation.objects.using(TARGET).exists():
        text = "The new database has accounts or conversations already; nothing is overwritten."
        raise Trouble("used", text)


def empty(everything: Iterable[Table]) -> None:
    quote = connections[TARGET].ops.quote_name
    # What the migrations have put in has to be checked before its tables may be emptied.
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    execute("SET CONSTRAINTS ALL DEFERRED")
    execute(f"TRUNCATE {', '.join(quote(table.name) for table in everything)}")


def copy(table: Table) -> Sum:
    read = Sum()
    connection = connections[TARGET]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(field.column) for field in table.fields)
    statement = f"COPY {quote(table.name)} ({columns}) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as stream:
        for row in mended(table, read):
            stream.write_row(prepared(table, row))
    count = table.count(SOURCE)
    if count != read.rows:
        raise Trouble("count", f"{table.name} has {count} rows, read were {read.rows}. {UNTOUCHED}")
    return read


def mended(table: Table, read: Sum) -> Iterator[Row]:
    menders = [mending.mender(field) for field in table.fields]
    for found in table.rows(SOURCE):
        row = tuple(
            mend(value) if mend else value for mend, value in zip(menders, found, strict=True)
        )
        read.mended += sum(a != b for a, b in zip(row, found, strict=True))
        read.add(row)
        yield row


def prepared(table: Table, row: Row) -> list[Any]:
    connection = connections[TARGET]
    return [
        # An empty JSON in a column that must have one is JSON's own null.
        field.get_db_prep_value(value, connection)
        if value is None and not field.null
        else field.get_db_prep_save(value, connection)
        for field, value in zip(table.fields, row, strict=True)
    ]


def index() -> None:
    texts = Message.objects.using(TARGET).order_by()
    rows = texts.values_list("pk", "conversation__owner_id", "content").iterator(chunk_size=BATCH)
    for batch in batches(rows):
        search.store(batch, using=TARGET)


def batches(things: Iterable[Thing]) -> Iterator[list[Thing]]:
    source = iter(things)
    while batch := list(islice(source, BATCH)):
        yield batch


def compare(table: Table, read: Sum) -> Line:
    there = Sum()
    for row in table.rows(TARGET):
        there.add(row)
    line = Line(table.name, read, there)
    if not line.is_same or there.rows != table.count(TARGET):
        raise Trouble("differs", f"{table.name} did not arrive as it was. {UNTOUCHED}")
    return line


def execute(statement: str) -> None:
    with connections[TARGET].cursor() as cursor:
        cursor.execute(statement)
