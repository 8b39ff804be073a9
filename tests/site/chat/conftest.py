"""A model to talk to, for every test of the chat; for those of the socket an answer to follow."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import redis

from chatsite.accounts.models import User
from chatsite.catalogue import actions as catalogue
from chatsite.catalogue.models import Model
from chatsite.chat import actions
from chatsite.gateway.follow import hub
from chatsite.gateway.models import Generation
from tests.site.chat.talk import draft


@pytest.fixture(autouse=True)
def model(db: None, monkeypatch: pytest.MonkeyPatch) -> Model | None:
    monkeypatch.setenv("CHATSITE_ECHO_MODEL", "1")
    return catalogue.register_echo()


@pytest.fixture
async def own_hub(broker: redis.Redis) -> AsyncIterator[None]:
    """The hub belongs to the loop of the test that uses it."""
    await hub.close()
    yield
    await hub.close()


@pytest.fixture
def answer(bob: User, broker: redis.Redis) -> Generation:
    """An answer to Bob that nobody writes yet."""
    generation = actions.say(bob, None, draft("Hello")).answer.generation
    assert generation is not None
    return generation
