"""The list of conversations, by date, a hundred at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from chatsite.accounts.models import User
from chatsite.chat import sidebar
from chatsite.chat.models import Conversation
from tests.site.chat.talk import send, talk

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def make(owner: User, count: int, updated: datetime) -> None:
    Conversation.objects.bulk_create(
        Conversation(owner=owner, title=f"c{n}", updated=updated - timedelta(seconds=n))
        for n in range(count)
    )


def test_it_works(alice: User, bob: User, alice_client: Client) -> None:
    talk(bob, "Not Alice's")
    conversation = talk(alice, "One").conversation
    page = alice_client.get(f"/chat/{conversation.pk}/")
    (group,) = page.context["groups"]
    (entry,) = group.conversations
    assert (group.label, entry.id, entry.title) == ("Today", conversation.pk, "New chat")
    assert entry.url == f"/chat/{conversation.pk}/"
    assert entry.is_current
    assert not entry.live
    assert page.context["more"] == ""


def test_it_shows_where_an_answer_is_being_written(alice: User, alice_client: Client) -> None:
    quiet = talk(alice, "One").conversation
    live = send(alice_client).context["conversation"]
    groups = alice_client.get("/chat/sidebar/").context["groups"]
    entries = {entry.id: entry.live for entry in groups[0].conversations}
    assert entries == {live.pk: True, quiet.pk: False}


@pytest.mark.parametrize(
    ("days", "label"),
    [
        (0, "Today"), (1, "Yesterday"), (2, "Previous 7 days"), (7, "Previous 7 days"),
        (8, "Previous 30 days"), (30, "Previous 30 days"), (31, "October 2026"),
        (400, "October 2025"),
    ],
)  # fmt: skip
def test_the_headings(days: int, label: str) -> None:
    assert sidebar.label(NOON - timedelta(days=days), NOON.date()) == label


def test_a_clock_that_runs_ahead_is_today() -> None:
    assert sidebar.label(NOON + timedelta(days=1), NOON.date()) == "Today"


def test_it_goes_on_after_a_hundred(alice: User, alice_client: Client) -> None:
    moment = timezone.now() - timedelta(days=100)
    make(alice, 130, moment)
    make(alice, 120, moment)
    seen, context = [], alice_client.get("/chat/sidebar/").context
    assert not context["groups"][0].continued
    for count in (100, 100, 50):
        ids = [entry.id for group in context["groups"] for entry in group.conversations]
        assert len(ids) == count
        seen += ids
        if context["more"]:
            context = alice_client.get("/chat/sidebar/", {"before": context["more"]}).context
            assert context["groups"][0].continued
    assert len(set(seen)) == 250


@pytest.mark.parametrize("before", ["x", "2026-01-01~", "2026-01-01T00:00:00~x", "~", "\x00"])
def test_a_bad_cursor_is_refused(alice_client: Client, before: str) -> None:
    assert alice_client.get("/chat/sidebar/", {"before": before}).status_code == 400
