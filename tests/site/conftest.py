"""The cast of the site's tests: Alice is the admin, Bob and Charlie have accounts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.utils import translation
from pytest_django import DjangoDbBlocker

from chatsite.accounts.models import User

# Eight letters and no common word: it passes the checks that a person's choice must pass.
PASSWORD = "violet-harbour-7"


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Threads of the servers that tests run hang up a moment after the last test; PostgreSQL does
    not drop a database before that."""
    yield
    if connection.vendor == "postgresql":
        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(autouse=True)
def language() -> None:
    """A request leaves its language behind in the thread that all tests share."""
    translation.deactivate()


@pytest.fixture
def alice(db: None) -> User:
    return User.objects.create_superuser("alice", password=PASSWORD)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password=PASSWORD)


@pytest.fixture
def charlie(db: None) -> User:
    return User.objects.create_user("charlie", password=PASSWORD)


@pytest.fixture
def alice_client(alice: User) -> Client:
    return sign_in(alice)


@pytest.fixture
def bob_client(bob: User) -> Client:
    return sign_in(bob)


@pytest.fixture
def charlie_client(charlie: User) -> Client:
    return sign_in(charlie)


def sign_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client
