"""What SQLite keeps and PostgreSQL does not: NUL characters, texts that are too long, numbers in
JSON that are none. Changes as little as possible and counts it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from django.db import models

# Stands for a character that cannot be kept.
LOST = "\ufffd"
Mend = Callable[[Any], Any]


def mender(field: models.Field[Any, Any]) -> Mend | None:
    """How this field's values are made fit; None where all are."""
    if isinstance(field, models.JSONField):
        return json
    if isinstance(field, models.CharField):
        return lambda value: text(value)[: field.max_length] if isinstance(value, str) else value
    if isinstance(field, models.TextField):
        return lambda value: text(value) if isinstance(value, str) else value
    return None


def text(value: str) -> str:
    if value.isascii() and "\0" not in value:
        return value
    # A half of a pair, as JSON can have it, is no character either.
    return value.replace("\0", LOST).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def json(value: Any) -> Any:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [json(each) for each in value]
    if isinstance(value, dict):
        return {text(key): json(each) for key, each in value.items()}
    return value
