"""A full disk: the message is refused with what to do, and nothing is half-written."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import OperationalError, connection
from django.test import Client

from chatsite.accounts.models import User
from chatsite.chat import refusals
from chatsite.chat.models import Conversation, Message
from chatsite.gateway.models import Generation
from tests.site.chat.talk import send, talk


@pytest.fixture
def full() -> Iterator[None]:
    """SQLite's own limit: no page more than the file has."""
    if connection.vendor != "sqlite":
        pytest.skip("PostgreSQL has no limit that a test could set")
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA page_count")
        (pages,) = cursor.fetchone()
        cursor.execute(f"PRAGMA max_page_count = {pages}")
        yield
        cursor.execute("PRAGMA max_page_count = 1073741823")


@pytest.mark.usefixtures("full")
def test_it_works(alice_client: Client) -> None:
    response = send(alice_client, "a" * 150_000)
    assert response.status_code == 503
    error = response.json()["error"]
    assert error["kind"] == "storage_full"
    assert "disk" in error["message"]
    for model in (Conversation, Message, Generation):
        assert not model.objects.exists()


def test_the_history_stays_as_it_was(
    alice: User, alice_client: Client, request: pytest.FixtureRequest
) -> None:
    conversation = talk(alice, "One").conversation
    request.getfixturevalue("full")
    response = send(alice_client, "a" * 150_000, conversation=conversation.pk)
    assert response.status_code == 503
    page = alice_client.get(f"/chat/{conversation.pk}/")
    assert [t.message.content for t in page.context["turns"]] == ["One", "Answer to: One"]


def test_another_trouble_of_the_database_is_told_apart() -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT nothing FROM nowhere")
    except Exception as error:  # noqa: BLE001 - each database has its own class for it
        trouble = OperationalError()
        trouble.__cause__ = error.__cause__
    assert refusals.storage(trouble).kind == "database"
