"""A provider of the tests, and one of its models in the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatsite.accounts.models import User
from chatsite.catalogue import providers
from chatsite.catalogue.models import Provider
from chatsite.catalogue.providers import Offer, Place
from tests.upstream import Upstream

KEY = "sk-very-secret-1"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(key=KEY) as server:
        yield server


@pytest.fixture
def provider(alice: User, upstream: Upstream) -> Provider:
    """With the model `words` under the name `far-words`."""
    made = providers.add_provider("Far", Place(upstream.base_url, inside=True, key=KEY))
    providers.choose_models(made.pk, [Offer("words", "far-words")])
    return made
