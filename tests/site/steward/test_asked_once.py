"""A claim is known to the row before the first token: where the broker loses its data then, an
engine learns that somebody may have begun."""

from __future__ import annotations

from uuid import uuid4

import pytest
import redis

from chatsite.accounts.models import User
from chatsite.catalogue import providers
from chatsite.catalogue.providers import Offer, Place
from chatsite.chat import actions as chat
from chatsite.chat.actions import Draft
from chatsite.chat.models import Message
from chatsite.gateway.models import Generation
from chatsite.steward.rounds import Steward
from inference import lease
from inference.contract import Finish
from inference.stream import finish

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def answer(alice: User, broker: redis.Redis) -> Message:
    made = providers.add_provider("Far", Place("https://api.example.com/v1", key="sk-1"))
    providers.choose_models(made.pk, [Offer("theirs", "far")])
    return chat.say(alice, None, Draft("Hello", uuid4(), "far")).answer


def row(answer: Message) -> Generation:
    assert answer.generation
    answer.generation.refresh_from_db()
    return answer.generation


def claim(broker: redis.Redis) -> lease.Claim:
    found = lease.claim(broker, "far", 5000)
    assert found
    return found


def test_it_works(answer: Message, broker: redis.Redis) -> None:
    steward = Steward()
    assert claim(broker).attempts == 1
    steward.round()
    assert row(answer).fence == 1
    broker.flushall()
    # Also where the steward was away, too: the row alone knows.
    Steward().round()
    again = claim(broker)
    assert again.attempts == 2
    error = Finish(again.id, "error", error={"kind": "remote_interrupted"})
    assert finish(broker, again.fence, error) == 0
    steward.round()
    assert row(answer).error == {"kind": "remote_interrupted"}


def test_what_nobody_had_is_asked_for(answer: Message, broker: redis.Redis) -> None:
    Steward().round()
    broker.flushall()
    Steward().round()
    assert claim(broker).attempts == 1
