"""Django's admin shows the catalogue's rows to admins: to look at, since pages of our own change
them."""

from __future__ import annotations

import pytest
import redis
from django.test import Client

from chatsite.catalogue import actions, deliveries
from chatsite.catalogue.models import Alias, Delivery, Model

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def addresses(broker: redis.Redis) -> list[str]:
    model = Model.objects.create(name="tiny", source={}, defaults={"top_k": 3})
    actions.call("tiny", "gpt-4o")
    row = deliveries.begin_import(None, "/media/tiny.gguf")
    alias = Alias.objects.get()
    rows = {"model": model.pk, "alias": alias.pk, "delivery": row.pk}
    return [f"/admin/catalogue/{name}/{pk}/change/" for name, pk in rows.items()]


def test_it_works(alice_client: Client, addresses: list[str]) -> None:
    for address in addresses:
        assert alice_client.get(address).status_code == 200, address
        listed = address.rsplit("/", 3)[0] + "/"
        assert alice_client.get(listed).status_code == 200, listed
    fields = {"title": "Ours", "defaults": '{"temperature": 99}', "enabled": "on"}
    alice_client.post(addresses[0], fields)
    model = Model.objects.get()
    assert (model.title, model.defaults) == ("Ours", {"top_k": 3})
    assert alice_client.post(addresses[2], {"state": "done"}).status_code == 403
    assert Delivery.objects.get().state == "waiting"


def test_r12_bob_is_refused(bob_client: Client, addresses: list[str]) -> None:
    for address in addresses:
        assert bob_client.get(address).status_code == 302
    bob_client.post(addresses[0], {"title": "Bob's"})
    assert Model.objects.get().title == ""
