"""A database behind a network that fails: neither side waits for the other without a limit."""

from __future__ import annotations

import socket
import time

import psycopg
import pytest
from django.db import connection

from chatsite import databases

URL = "postgres://site@127.0.0.1:{port}/site"


def test_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setitem(databases.SILENCE, "connect_timeout", 2)
        made = databases.configure(URL.format(port=port))
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(f"host=127.0.0.1 port={port}", **made["OPTIONS"])
        assert time.monotonic() - began < 4


def test_an_address_may_say_otherwise() -> None:
    url = URL.format(port=5432) + "?tcp_user_timeout=9000&options=-c%20work_mem%3D8MB"
    options = databases.configure(url)["OPTIONS"]
    assert (options["tcp_user_timeout"], options["options"]) == ("9000", "-c work_mem=8MB")
    assert options["keepalives_idle"] == databases.SILENCE["keepalives_idle"]


@pytest.mark.django_db
def test_a_transaction_of_whom_nothing_is_heard_keeps_no_row() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite knows of no connections that hang.")
    with connection.cursor() as cursor:
        cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert cursor.fetchone() == ("30s",)
