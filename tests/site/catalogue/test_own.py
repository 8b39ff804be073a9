"""An admin adds a model that an engine of his own runs, and changes what the engine is told."""

from __future__ import annotations

import pytest
import redis
from django.test import Client

from chatsite.accounts.models import User
from chatsite.catalogue import actions, own
from chatsite.catalogue.models import Model
from inference import board
from inference.board import WorkerState
from inference.engines import registry
from tests.site.catalogue.test_providers import page

pytestmark = pytest.mark.django_db(transaction=True)
ADD = "/settings/models/own"
TOLD = {"name": "mine", "engine": "somebodys", "source": '{"path": "/srv/m"}', "settings": ""}


@pytest.fixture(autouse=True)
def worker(broker: redis.Redis) -> None:
    engines = ("llamacpp", "echo", "somebodys")
    board.greet(broker, WorkerState("box-1", "box", 1, "", 2, 8 << 30, 4 << 30, engines=engines))


def test_it_works(alice: User, alice_client: Client) -> None:
    listed = page(alice_client, ADD)
    assert '<option value="somebodys">' in listed
    assert '<option value="llamacpp">' not in listed
    assert "Saved." in page(alice_client, ADD, **TOLD)
    model = actions.find_answering(alice, "mine")
    assert model
    spec = actions.spec(model)
    assert (spec.name, spec.engine, spec.source) == ("mine", "somebodys", {"path": "/srv/m"})
    assert f"/settings/models/{model.pk}/own" in page(alice_client, f"/settings/models/{model.pk}")


def test_what_it_is_told_is_changed(alice_client: Client, broker: redis.Redis) -> None:
    page(alice_client, ADD, **TOLD)
    (model,) = Model.objects.all()
    address = f"/settings/models/{model.pk}/own"
    assert "/srv/m" in page(alice_client, address)
    # Its machine is away.
    broker.flushall()
    sent = {"engine": "somebodys", "source": "{}", "settings": '{"slots": 3, "odd": [1]}'}
    assert "Saved." in page(alice_client, address, **sent)
    model.refresh_from_db()
    assert (model.source, model.settings) == ({}, {"slots": 3, "odd": [1]})
    # The usual page leaves alone what it does not know.
    actions.change(model.pk, actions.Facts(name="mine", slots=2))
    model.refresh_from_db()
    assert model.settings == {"slots": 2, "odd": [1]}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"source": "{"}, "valid JSON"),
        ({"source": "[1]"}, "Enter an object"),
        ({"settings": '"x"'}, "Enter an object"),
        ({"source": " " * 20_001}, "too long"),
        ({"engine": "llamacpp"}, "Select a valid choice"),
        ({"engine": "unheard-of"}, "Select a valid choice"),
        ({"name": "two words"}, "no spaces"),
        ({"name": "taken"}, "Another model has this name"),
    ],
)
def test_what_cannot_be_is_refused(alice_client: Client, wrong: dict[str, str], words: str) -> None:
    Model.objects.create(name="taken", engine="echo", source={})
    assert words in page(alice_client, ADD, **{**TOLD, **wrong})
    assert Model.objects.count() == 1


def test_models_of_the_usual_engines_have_no_such_page(alice_client: Client) -> None:
    model = Model.objects.create(name="near", engine="llamacpp", source={})
    assert alice_client.get(f"/settings/models/{model.pk}/own").status_code == 404
    assert "/own" not in page(alice_client, f"/settings/models/{model.pk}").replace(ADD, "")


def test_no_machine_has_one(alice_client: Client, broker: redis.Redis) -> None:
    broker.flushall()
    assert "No machine that answers" in page(alice_client, ADD)


def test_bob_is_refused(bob_client: Client) -> None:
    assert bob_client.post(ADD, TOLD).status_code == 403
    assert not Model.objects.exists()


def test_the_usual_ones_are_those_that_come_with_the_product() -> None:
    assert set(registry.ENGINES) == own.BUILT_IN
