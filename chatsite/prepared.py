"""Questions to the database that every call of the API asks: Django composes them once.

To compose one takes longer than to run it. Later questions put other texts into the
same SQL; all else, the making of the objects included, is Django's own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import connections, models
from django.db.models.query import ModelIterable, QuerySet

Found = TypeVar("Found", bound=models.Model)
# What stands for the texts while the question is composed.
MARK = "prepared text {}"


class Prepared(Generic[Found]):
    """`make` gets so many texts and says what is asked, without slices and prefetching. A text goes
    to the database as it is: a condition that changes it (`contains`) finds nothing."""

    def __init__(self, count: int, make: Callable[..., QuerySet[Found]]) -> None:
        self._marks = [MARK.format(number) for number in range(count)]
        self._make = make
        self._composed: tuple[QuerySet[Found], Any, str, tuple[Any, ...]] | None = None

    def __call__(self, *texts: str) -> list[Found]:
        queryset, composed, sql, params = self._composed or self._compose()
        given = dict(zip(self._marks, texts, strict=True))
        # The compiler knows the columns; connections belong to threads.
        compiler = copy.copy(composed)
        compiler.connection = connections[queryset.db]
        values = tuple(given.get(param, param) for param in params)
        compiler.as_sql = lambda *_, **__: (sql, values)
        query = copy.copy(queryset.query)
        query.get_compiler = lambda *_, **__: compiler  # type: ignore[method-assign]
        return list(ModelIterable(QuerySet(queryset.model, query, queryset.db)))

    def _compose(self) -> tuple[QuerySet[Found], Any, str, tuple[Any, ...]]:
        queryset = self._make(*self._marks)
        compiler = queryset.query.get_compiler(queryset.db)
        sql, params = compiler.as_sql()
        assert set(self._marks) <= set(params), "A text is changed on its way."
        self._composed = queryset, compiler, sql, tuple(params)
        return self._composed
