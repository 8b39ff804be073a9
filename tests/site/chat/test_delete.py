"""Deleting can be undone for 30 days; then everything that was said is gone."""

from __future__ import annotations

from datetime import timedelta

import pytest
import redis
from django.db import connection
from django.test import Client
from django.utils import timezone

from chatsite.accounts.models import User
from chatsite.chat import actions
from chatsite.chat.models import Conversation, Message
from chatsite.gateway.models import Generation
from tests.site.chat.talk import end, post, send, talk


def indexed() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM chat_search")
        return int(cursor.fetchone()[0])


def test_it_works(alice: User, alice_client: Client) -> None:
    kept, gone = talk(alice, "One").conversation, talk(alice, "Two").conversation
    response = post(alice_client, f"{gone.pk}/delete", current=str(gone.pk))
    assert response.status_code == 200
    shown = [entry.id for group in response.context["groups"] for entry in group.conversations]
    assert shown == [kept.pk]
    assert alice_client.get(f"/chat/{gone.pk}/").status_code == 404
    assert post(alice_client, f"{gone.pk}/delete").status_code == 404
    response = post(alice_client, f"{gone.pk}/restore")
    shown = [entry.id for group in response.context["groups"] for entry in group.conversations]
    assert shown == [gone.pk, kept.pk]
    assert len(alice_client.get(f"/chat/{gone.pk}/").context["turns"]) == 2


@pytest.mark.django_db(transaction=True)
def test_what_is_being_written_stops(
    alice_client: Client, broker: redis.Redis, transactional_db: None
) -> None:
    response = send(alice_client)
    generation = response.context["turns"][1].generation
    post(alice_client, f"{response.context['conversation'].pk}/delete")
    assert broker.hget(f"run:{generation.pk.hex}", "cancel")


def test_an_answer_that_ends_later_is_kept(alice: User, alice_client: Client) -> None:
    response = send(alice_client)
    conversation = response.context["conversation"]
    post(alice_client, f"{conversation.pk}/delete")
    end(response.context["turns"][1].generation, "Half of", status="stopped")
    post(alice_client, f"{conversation.pk}/restore")
    assert Conversation.objects.filter(leaf__content="Half of").exists()


def test_purge_removes_what_was_deleted_long_ago(alice: User) -> None:
    talk(alice, "Kept")
    said = talk(alice, "One", "Two", "Three")
    recent = talk(alice, "Four")
    end(said.conversation.title_generation, "A title")
    now = timezone.now()
    for conversation, days in ((said.conversation, 31), (recent.conversation, 29)):
        Conversation.objects.filter(pk=conversation.pk).update(deleted=now - timedelta(days=days))
    assert indexed() == 10
    assert actions.purge() == 1
    assert set(Conversation.objects.values_list("messages__content", flat=True)) == {
        "Kept",
        "Answer to: Kept",
        "Four",
        "Answer to: Four",
    }
    assert Message.objects.count() == 4
    # The two that are left, and their titles.
    assert Generation.objects.count() == 4
    assert indexed() == 4


def test_a_deleted_account_leaves_nothing_behind(alice: User) -> None:
    talk(alice, "One", "Two")
    alice.delete()
    assert not Conversation.objects.exists()
    assert not Generation.objects.exists()
    assert indexed() == 0
