"""The files of a model on several machines: who has them, a click that brings them to another, what
happens by itself, and how they all leave."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from django.test import Client
from django.utils import timezone

from chatsite.accounts.models import User
from chatsite.catalogue import actions, copies, deliveries
from chatsite.catalogue.errors import (
    HereAlreadyError,
    MachineGoneError,
    NoSourceError,
    NotHereError,
    UnderwayError,
)
from chatsite.catalogue.keeping import Keeper
from chatsite.catalogue.models import Delivery, Model
from inference import board
from inference.board import WorkerState
from inference.library import ledger
from inference.library.ledger import Claim
from inference.library.nouns import FileRef
from tests.site.catalogue.test_providers import page
from tests.site.catalogue.working import COMMIT, GGUF, VARIANT, Worker, landed, step

pytestmark = pytest.mark.django_db(transaction=True)
A, B, C = "box-aaa-1", "box-bbb-1", "box-ccc-1"
FOLDER = "tiny-abab"
STATE = WorkerState(
    A, "box", 1, "", 2, 8 << 30, 4 << 30, ("llamacpp",), (FOLDER,), address="10.0.0.1:5"
)


def stand(broker: redis.Redis, name: str, *folders: str, address: str = "10.0.0.2:5") -> None:
    board.greet(broker, replace(STATE, name=name, folders=folders, address=address))


@pytest.fixture
def model(broker: redis.Redis) -> Model:
    """At A; B lacks it."""
    stand(broker, A, FOLDER)
    stand(broker, B)
    return Model.objects.create(
        name="tiny",
        title="Tiny",
        source={"store": f"{FOLDER}/{GGUF.path}"},
        landed=landed(FOLDER),
        node=A,
        repo="owner/tiny-GGUF",
        revision=COMMIT,
    )


def take(broker: redis.Redis, name: str, *kinds: str) -> Claim | None:
    return ledger.claim(broker, name, f"{name}/1", 60_000, kinds or ("copy",))


def bring(broker: redis.Redis, row: Delivery) -> Delivery:
    """Its worker has done it."""
    claim = take(broker, row.node)
    assert claim
    ledger.finish(broker, claim.errand.id, claim.fence, "done", {"result": landed(row.folder)})
    return step(row)


def state_of(model: Model) -> dict[str, str]:
    return {spot.name: spot.state for spot in copies.spots(model)}


def test_it_works(alice: User, broker: redis.Redis, model: Model) -> None:
    assert state_of(model) == {A: "has", B: "lacks"}
    row = copies.begin(alice, model, B)
    assert (row.kind, row.state, row.total, row.model) == ("copy", "waiting", 1000, model)
    # The target alone takes it, and knows what every file has to be.
    assert take(broker, A) is None
    claim = take(broker, B)
    assert claim
    assert (claim.errand.folder, claim.errand.source, claim.errand.node) == (FOLDER, A, B)
    assert claim.errand.files == (FileRef(GGUF.path, GGUF.size, GGUF.sha256),)
    assert claim.errand.hub.permit == ""
    ledger.finish(broker, claim.errand.id, claim.fence, "done", {"result": landed(FOLDER)})
    step(row)
    assert (row.state, row.model) == ("done", model)
    # It stays one model.
    assert Model.objects.count() == 1
    stand(broker, B, FOLDER)
    assert state_of(model) == {A: "has", B: "has"}


def test_what_cannot_be(alice: User, broker: redis.Redis, model: Model) -> None:
    with pytest.raises(HereAlreadyError):
        copies.begin(alice, model, A)
    with pytest.raises(MachineGoneError):
        copies.begin(alice, model, C)
    with pytest.raises(NotHereError):
        copies.begin(alice, Model.objects.create(name="own", source={"path": "/x"}), B)
    copies.begin(alice, model, B)
    with pytest.raises(UnderwayError):
        copies.begin(alice, model, B)
    # To two machines at once it may come.
    stand(broker, C)
    copies.begin(alice, model, C)
    # A machine that gives nothing is no source.
    stand(broker, A, FOLDER, address="")
    deliveries.cancel(Delivery.objects.get(node=B).pk)
    deliveries.step()
    with pytest.raises(NoSourceError):
        copies.begin(alice, model, B)


def test_by_a_click(alice_client: Client, bob_client: Client, model: Model) -> None:
    shown = page(alice_client, f"/settings/models/{model.pk}")
    assert "Where its files are" in shown
    assert f'id="copy-{B}"' in shown
    assert f'id="copy-{A}"' not in shown
    address = f"/settings/models/{model.pk}/copy"
    assert bob_client.post(address, {"node": B}).status_code in {302, 403, 404}
    assert not Delivery.objects.exists()
    answer = alice_client.post(address, {"node": B}, headers={"HX-Request": "true"})
    assert "Waiting" in answer.content.decode()
    assert f'id="copy-{B}"' not in answer.content.decode()
    again = alice_client.post(address, {"node": B}, headers={"HX-Request": "true"})
    assert "under way already" in again.content.decode()
    assert Delivery.objects.get().node == B
    live = alice_client.get(f"/settings/models/{model.pk}/places")
    assert "Waiting" in live.content.decode()
    assert "Copy to a machine" in page(alice_client, "/settings/models")


def test_one_machine_needs_no_card(alice_client: Client, broker: redis.Redis, model: Model) -> None:
    board.part(broker, replace(STATE, name=B))
    assert "Where its files are" not in page(alice_client, f"/settings/models/{model.pk}")


def test_machines_that_were_chosen_get_it_by_themselves(
    alice: User, broker: redis.Redis, model: Model
) -> None:
    assert copies.wanted() == []
    Model.objects.filter(pk=model.pk).update(nodes=[A, B, C])
    Keeper().look()
    row = Delivery.objects.get()
    assert (row.node, row.asked_by) == (B, None)
    copies.follow()
    assert Delivery.objects.count() == 1
    # What an admin does not want is not begun again.
    deliveries.cancel(row.pk)
    deliveries.step()
    copies.follow()
    assert Delivery.objects.count() == 1


def test_one_that_failed_is_tried_again_after_a_while(broker: redis.Redis, model: Model) -> None:
    Model.objects.filter(pk=model.pk).update(nodes=[B])
    copies.follow()
    row = Delivery.objects.get()
    claim = take(broker, B)
    assert claim
    error = {"kind": "peer_away", "host": "box"}
    ledger.finish(broker, claim.errand.id, claim.fence, "failed", {"error": error})
    step(row)
    copies.follow()
    assert Delivery.objects.count() == 1
    Delivery.objects.update(ended=timezone.now() - timedelta(hours=2))
    copies.follow()
    assert Delivery.objects.live().count() == 1


def test_a_download_of_what_is_here_is_a_copy(alice: User, broker: redis.Redis) -> None:
    """To a machine that lacks it; without one it is here already."""
    stand(broker, A)
    row = deliveries.begin_download(alice, "owner/tiny-GGUF", COMMIT, VARIANT, node=A)
    worker = Worker(broker, A)
    worker.bring(worker.take())
    step(row)
    stand(broker, A, row.folder)
    stand(broker, B)

    class Found:
        repo, revision = "owner/tiny-GGUF", COMMIT

    copy = copies.arrive(alice, Found, VARIANT, {}, B)
    assert (copy.kind, copy.node, copy.folder) == ("copy", B, row.folder)
    with pytest.raises(HereAlreadyError):
        copies.arrive(alice, Found, VARIANT, {}, "")


def test_all_copies_leave_with_the_model(alice: User, broker: redis.Redis, model: Model) -> None:
    bring(broker, copies.begin(alice, model, B))
    stand(broker, B, FOLDER)
    stand(broker, C)
    late = copies.begin(alice, model, C)
    claim = take(broker, C)
    assert claim
    actions.remove(model, alice)
    removals = Delivery.objects.filter(kind="remove")
    assert {row.node for row in removals} == {A, B}
    assert late.pk in {row.pk for row in Delivery.objects.filter(wish="cancel")}
    # Nothing comes back to where it is being removed.
    with pytest.raises(UnderwayError):
        deliveries.begin_copy(alice, model, C, A)
    # The one that was nearly there arrives all the same, and leaves again.
    result = {"result": landed(FOLDER)}
    assert ledger.finish(broker, claim.errand.id, claim.fence, "done", result)
    assert step(late).state == "done"
    assert {row.node for row in removals.all()} == {A, B, C}
    for name in (A, B, C):
        done = take(broker, name, "remove")
        assert done
        assert done.errand.folder == FOLDER


def test_an_export_is_written_where_somebody_answers(
    alice: User, broker: redis.Redis, model: Model
) -> None:
    stand(broker, B, FOLDER)
    assert deliveries.begin_export(alice, model, "/mnt/one.tar").node == A
    board.part(broker, replace(STATE, name=A))
    assert deliveries.begin_export(alice, model, "/mnt/two.tar").node == B


def test_a_machine_that_is_away(broker: redis.Redis, model: Model) -> None:
    stand(broker, B, FOLDER)
    board.part(broker, replace(STATE, name=A))
    assert state_of(model) == {A: "away", B: "has"}
