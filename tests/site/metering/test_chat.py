"""The chat is under the person's quota: refused with kind words and nothing lost, or it waits."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.test import Client

from chatsite.accounts.models import User
from chatsite.chat.models import Conversation, Message
from chatsite.gateway.models import Generation
from chatsite.metering import actions
from inference import client, stream
from inference.contract import Message as Said
from inference.contract import ModelSpec, Request
from tests.site.chat.talk import post, send, talk
from tests.site.metering.test_quotas import NOTHING, limit_site
from tests.site.metering.using import use


def error(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 429, answer.content
    return dict(answer.json()["error"])


def test_it_works(bob: User, bob_client: Client) -> None:
    limit_site(tokens_per_day=1200)
    use(bob, prompt_tokens=1200)
    told = error(send(bob_client, "Hello"))
    assert told["kind"] == "over_quota"
    assert "tokens for today (1,200)" in told["message"]
    # What was typed is in the box; there is no half of it in the database.
    assert not Conversation.objects.exists()
    assert not Message.objects.exists()
    limit_site()
    assert send(bob_client, "Hello").status_code == 200


@pytest.mark.parametrize(
    ("name", "words"),
    [("requests_per_day", "for today"), ("requests_per_minute", "within a minute")],
)
def test_requests_are_counted_too(bob_client: Client, name: str, words: str) -> None:
    actions.set_site_limits(NOTHING | {name: 1}, waits=False)
    assert send(bob_client, "One").status_code == 200
    assert words in error(send(bob_client, "Two"))["message"]


def test_another_answer_and_an_edit_count(bob: User, bob_client: Client) -> None:
    said = talk(bob, "Hello")
    limit_site(requests_per_day=0)
    where = f"{said.conversation.pk}/"
    error(post(bob_client, where + "regenerate", message=said.answer.pk))
    error(post(bob_client, where + "edit", message=said.question.pk, text="Else"))
    assert Message.objects.count() == 2


def test_a_repeated_post_is_no_second_request(bob_client: Client) -> None:
    limit_site(requests_per_day=1)
    for _ in range(3):
        nonce = "5f0c9ea2-9a3a-4d0c-8a7b-0f8f5c4b7f10"
        assert send(bob_client, "Hello", nonce=nonce).status_code == 200
    assert Generation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_it_waits_behind_everybody_elses(bob_client: Client, broker: redis.Redis) -> None:
    limit_site(waits=True, requests_per_day=0)
    assert send(bob_client, "Hello").status_code == 200
    mine = Generation.objects.get()
    for number in range(2):
        spec = ModelSpec("echo", "echo", {})
        stream.create(broker, Request(f"c{number}", "charlie", spec, (Said("user", "Hi"),)))
    (place,) = client.places(broker, [("echo", mine.pk.hex)])
    assert place is not None
    assert place.ahead == 2
