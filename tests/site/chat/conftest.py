"""A model to talk to, for every test of the chat."""

from __future__ import annotations

import pytest

from chatsite.catalogue import actions
from chatsite.catalogue.models import Model


@pytest.fixture(autouse=True)
def model(db: None, monkeypatch: pytest.MonkeyPatch) -> Model | None:
    monkeypatch.setenv("CHATSITE_ECHO_MODEL", "1")
    return actions.register_echo()
