"""How the site's log lines look: the generation they are about on each of them, JSON on request."""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from typing import Any

# Set by whoever works on one generation; the lines of its task then carry it.
generation: ContextVar[str] = ContextVar("generation", default="-")

LINE = "%(asctime)s %(levelname)s %(name)s [%(generation)s] %(message)s"


class Generation(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.generation = generation.get()
        return True


class Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "generation": getattr(record, "generation", "-"),
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(*, as_json: bool, level: str) -> dict[str, Any]:
    """Django's LOGGING. All lines go to standard error: `up` or the container keeps them."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"generation": {"()": "chatsite.logs.Generation"}},
        "formatters": {"line": {"format": LINE}, "json": {"()": "chatsite.logs.Json"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "filters": ["generation"],
                "formatter": "json" if as_json else "line",
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        # Django's own handlers would write each line a second time, or mail it.
        "loggers": {
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            # Four lines about every login that went well.
            "axes": {"level": "WARNING"},
        },
    }
