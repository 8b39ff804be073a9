"""An admin sees which models are here, what is on its way, and which machines there are."""

from __future__ import annotations

import pytest
from django.test import Client

from chatsite.catalogue.models import Model
from tests.site.catalogue.test_providers import page

pytestmark = pytest.mark.django_db


def test_it_works(alice_client: Client) -> None:
    assert "No model is here yet" in page(alice_client, "/settings/models")
    Model.objects.create(name="tiny", title="Tiny", source={})
    shown = page(alice_client, "/settings/models")
    assert "Tiny" in shown
    assert "?model=tiny" in shown
