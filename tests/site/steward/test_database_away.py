"""The database ends the steward's connection, as a restart of it does: the steward asks again over
another one, and what needs no database goes on meanwhile."""

from __future__ import annotations

import pytest
import redis
from django.db import InterfaceError, OperationalError, connection

from chatsite.accounts.models import User
from chatsite.catalogue import actions as catalogue
from chatsite.chat import actions as chat
from chatsite.chat.models import Message
from chatsite.steward import rounds
from chatsite.steward.rounds import Steward
from tests.site.chat.socket import Worker
from tests.site.chat.talk import draft

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def answer(bob: User, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Message:
    monkeypatch.setenv("CHATSITE_ECHO_MODEL", "1")
    monkeypatch.setattr(rounds, "GRACE", 0.0)
    catalogue.register_echo()
    return chat.say(bob, None, draft("Hello")).answer


def key(answer: Message) -> str:
    assert answer.generation is not None
    return answer.generation.pk.hex


def test_it_works(answer: Message, broker: redis.Redis) -> None:
    steward = Steward()
    worker = Worker(broker, key(answer))
    worker.write(3)
    steward.round()
    worker.write(2)
    worker.end()
    # Behind Django's back.
    assert connection.connection is not None
    connection.connection.close()
    steward.round()
    steward.round()
    assert answer.generation is not None
    answer.generation.refresh_from_db()
    assert answer.generation.status == "done"


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_what_lost_its_worker_waits_again_meanwhile(
    answer: Message,
    broker: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    steward = Steward()
    Worker(broker, key(answer)).write(3)
    broker.zadd("leases", {key(answer): 1})

    def refuse(_: object) -> None:
        raise error("the connection is closed")

    monkeypatch.setattr(Steward, "_meet", refuse)
    steward.round()
    assert broker.zscore("waiting:echo", key(answer)) is not None
