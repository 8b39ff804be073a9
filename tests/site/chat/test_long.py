"""A conversation of 2,000 messages opens like one of 20: the end of it, in as many queries."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from chatsite.accounts.models import User
from chatsite.chat.models import Conversation, Message
from chatsite.gateway.models import Generation
from tests.site.chat.talk import send

Limit = Callable[[int], AbstractContextManager[None]]


def build(owner: User, length: int) -> Conversation:
    """A straight conversation whose messages are named m0, m1, …"""
    conversation = Conversation.objects.create(
        owner=owner, model="echo", title="Long", updated=timezone.now()
    )
    generations = Generation.objects.bulk_create(
        Generation(owner=owner, model="echo", request={}, status="done") for _ in range(length // 2)
    )
    messages = Message.objects.bulk_create(
        Message(
            conversation=conversation,
            role="assistant" if n % 2 else "user",
            content=f"m{n}",
            generation=generations[n // 2] if n % 2 else None,
        )
        for n in range(length)
    )
    answers = conversation.messages.exclude(pk=messages[0].pk)
    answers.update(parent_id=F("id") - 1)
    conversation.leaf = messages[-1]
    conversation.save()
    return conversation


def shown(response: object) -> list[str]:
    return [turn.message.content for turn in response.context["turns"]]  # type: ignore[attr-defined]


def test_it_works(alice: User, alice_client: Client) -> None:
    conversation = build(alice, 100)
    page = alice_client.get(f"/chat/{conversation.pk}/")
    assert shown(page) == [f"m{n}" for n in range(60, 100)]
    seen = shown(page)
    while before := page.context["earlier"]:
        assert before == page.context["turns"][0].message.pk
        page = alice_client.get(f"/chat/{conversation.pk}/earlier/", {"before": before})
        seen = shown(page) + seen
    assert seen == [f"m{n}" for n in range(100)]


def test_what_is_not_on_the_shown_branch_has_nothing_earlier(
    alice: User, alice_client: Client
) -> None:
    conversation, other = build(alice, 4), build(alice, 4)
    path, foreign = f"/chat/{conversation.pk}/earlier/", str(other.leaf_id)
    assert alice_client.get(path, {"before": foreign}).status_code == 404
    assert alice_client.get(path, {"before": "x"}).status_code == 400
    assert alice_client.get(path).status_code == 400


@pytest.mark.parametrize("path", ["", "thread/"])
def test_the_number_of_queries_does_not_grow(
    alice: User, alice_client: Client, path: str, django_assert_max_num_queries: Limit
) -> None:
    short, long = build(alice, 20), build(alice, 2000)
    alice_client.get("/chat/")
    with CaptureQueriesContext(connection) as queries:
        alice_client.get(f"/chat/{short.pk}/{path}")
    assert len(queries) <= 12
    with django_assert_max_num_queries(len(queries)):
        page = alice_client.get(f"/chat/{long.pk}/{path}")
    assert shown(page) == [f"m{n}" for n in range(1960, 2000)]


def test_sending_does_not_grow_either(
    alice: User, alice_client: Client, django_assert_max_num_queries: Limit
) -> None:
    short, long = build(alice, 20), build(alice, 2000)
    # An answer that is live elsewhere makes the question for it cost a query in both.
    send(alice_client)
    with CaptureQueriesContext(connection) as queries:
        send(alice_client, conversation=short.pk)
    with django_assert_max_num_queries(len(queries)):
        response = send(alice_client, conversation=long.pk)
    generation = Generation.objects.get(pk=response.context["turns"][1].generation.pk)
    assert len(generation.request["messages"]) == 2001
