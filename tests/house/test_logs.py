"""Log lines carry the generation that they are about, as text and as JSON."""

from __future__ import annotations

import json
import logging
import sys

from chatsite import logs


def line(formatter: logging.Formatter, *, error: bool = False) -> str:
    info = None
    if error:
        try:
            raise ValueError("broken")
        except ValueError:
            info = sys.exc_info()
    record = logging.LogRecord("chatsite", logging.INFO, __file__, 1, "saved %d", (3,), info)
    assert logs.Generation().filter(record)
    return formatter.format(record)


def test_it_works() -> None:
    token = logs.generation.set("abc")
    try:
        assert line(logging.Formatter(logs.LINE)).endswith("INFO chatsite [abc] saved 3")
    finally:
        logs.generation.reset(token)


def test_without_a_generation() -> None:
    assert "[-]" in line(logging.Formatter(logs.LINE))


def test_json_is_one_line_with_the_exception() -> None:
    text = line(logs.Json(), error=True)
    assert "\n" not in text
    entry = json.loads(text)
    assert entry["message"] == "saved 3"
    assert "ValueError: broken" in entry["exception"]
