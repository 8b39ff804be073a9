"""A model to talk to and an empty broker, for every test of what is counted."""

from __future__ import annotations

import pytest
import redis

from chatsite.catalogue import actions
from chatsite.catalogue.models import Model


@pytest.fixture(autouse=True)
def model(db: None, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Model | None:
    monkeypatch.setenv("CHATSITE_ECHO_MODEL", "1")
    return actions.register_echo()
