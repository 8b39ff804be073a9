"""A table as both databases have it: its rows as Python's values, and their sum for comparing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.apps import apps
from django.db import models

# Rows at once. Few: one may hold a whole conversation.
BATCH = 50
# From here on floats skip whole numbers; JSON does not say which of both a number was.
EXACT = 2**53
Row = tuple[Any, ...]


@dataclass(slots=True)
class Sum:
    """Of all rows, whatever their order: databases sort texts in different ways."""

    rows: int = 0
    total: int = 0
    # Values that were made fit for PostgreSQL.
    mended: int = 0

    def add(self, row: Row) -> None:
        self.rows += 1
        digest = sha256(json.dumps([plain(value) for value in row], sort_keys=True).encode())
        self.total = (self.total + int.from_bytes(digest.digest())) % (1 << 256)

    @property
    def hash(self) -> str:
        return f"{self.total:064x}"[:12]


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    model: type[models.Model]
    fields: tuple[models.Field[Any, Any], ...]

    def count(self, alias: str) -> int:
        return models.QuerySet(self.model, using=alias).order_by().count()

    def rows(self, alias: str) -> Iterator[Row]:
        names = [field.attname for field in self.fields]
        found: models.QuerySet[Any, Row] = models.QuerySet(self.model, using=alias)
        return found.order_by().values_list(*names).iterator(chunk_size=BATCH)


def tables() -> list[Table]:
    """Of every model of every app, also those between two."""
    found = [
        (model, model._meta)  # noqa: SLF001 - documented by Django
        for model in apps.get_models(include_auto_created=True)
    ]
    return [
        Table(meta.db_table, model, tuple(meta.concrete_fields))
        for model, meta in found
        if meta.managed and not meta.proxy
    ]


def plain(value: Any) -> Any:
    """The same for both databases, where they keep it in different ways."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return number(value)
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return str(value)


def number(value: float) -> str:
    try:
        near = float(value)
    except OverflowError:
        return str(value)
    exact = abs(near) < EXACT and near.is_integer()
    return str(int(near)) if exact else repr(near)
