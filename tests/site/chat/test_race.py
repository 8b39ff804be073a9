"""Two identical posts at the same moment say it once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from django.db import connection

from chatsite.accounts.models import User
from chatsite.chat import actions
from chatsite.chat.actions import Exchange
from chatsite.chat.models import Conversation, Message
from chatsite.chat.refusals import Refusal
from chatsite.gateway.models import Generation
from tests.site.chat.talk import draft, talk

pytestmark = pytest.mark.usefixtures("transactional_db")


def race(owner: User, conversation: UUID | None, nonces: list[UUID]) -> list[Exchange | Refusal]:
    barrier = Barrier(len(nonces))

    def say(nonce: UUID) -> Exchange | Refusal:
        barrier.wait()
        try:
            return actions.say(owner, conversation, draft("Hello", nonce=nonce))
        except Refusal as refusal:
            return refusal
        finally:
            connection.close()

    with ThreadPoolExecutor(len(nonces)) as pool:
        return list(pool.map(say, nonces))


def test_it_works_for_a_new_conversation(alice: User) -> None:
    for _ in range(5):
        nonce = uuid4()
        said = race(alice, None, [nonce, nonce, nonce])
        assert len({s.answer.pk for s in said if isinstance(s, Exchange)}) == 1
        assert Conversation.objects.filter(nonce=nonce).count() == 1
    assert Message.objects.count() == 10
    assert Generation.objects.count() == 5


def test_it_works_in_a_conversation(alice: User) -> None:
    first, nonce = talk(alice, "One"), uuid4()
    said = race(alice, first.conversation.pk, [nonce, nonce])
    assert len({s.answer.pk for s in said if isinstance(s, Exchange)}) == 1
    assert first.conversation.messages.count() == 4


def test_two_different_messages_do_not_both_start(alice: User) -> None:
    first = talk(alice, "One")
    said = race(alice, first.conversation.pk, [uuid4(), uuid4()])
    assert sorted(type(s).__name__ for s in said) == ["Exchange", "Refusal"]
    assert first.conversation.messages.count() == 4
