"""A model to talk to, and people who talk, for every test of the chat."""

from __future__ import annotations

import pytest
from django.test import Client

from chatsite.accounts.models import User
from chatsite.catalogue import actions
from chatsite.catalogue.models import Model


@pytest.fixture(autouse=True)
def model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Model | None:
    database = "transactional_db" if "transactional_db" in request.fixturenames else "db"
    request.getfixturevalue(database)
    monkeypatch.setenv("CHATSITE_ECHO_MODEL", "1")
    return actions.register_echo()


@pytest.fixture
def alice(model: Model) -> User:
    return User.objects.create_user("alice", password="alice's password", is_staff=True)


@pytest.fixture
def bob(model: Model) -> User:
    return User.objects.create_user("bob", password="bob's password")


@pytest.fixture
def alice_client(alice: User) -> Client:
    return sign_in(alice)


@pytest.fixture
def bob_client(bob: User) -> Client:
    return sign_in(bob)


def sign_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client
