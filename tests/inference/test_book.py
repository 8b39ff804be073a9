"""What a Host holds, while others take it over."""

from __future__ import annotations

import redis

from inference import stream
from inference.book import Book, Run
from inference.contract import Finish, Job, Tokens
from inference.link import Link
from tests.inference.logs import request


def test_what_ends_as_it_is_taken_over_keeps_no_place(broker: redis.Redis) -> None:
    """An engine tells the last tokens and the end at once."""
    asked = request("a")
    stream.create(broker, asked)
    stopped: list[str] = []

    def cancel(key: str) -> bool:
        stopped.append(key)
        return True

    book = Book(Link(broker, "here"), 1000, cancel)
    run = Run("a", 7, Job(asked), 0)
    book.open(run)
    assert book.held == 1
    book.write([Tokens(run.key, 1, (1,), "x"), Finish(run.key, "stop")])
    assert stopped == [run.key]
    assert (book.runs, book.held) == ({}, 0)
