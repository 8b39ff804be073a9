"""What is fetched becomes a model that everybody can use; it is paused, goes on, ends, and survives
what is away meanwhile."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.utils import timezone

from chatsite.accounts.models import User
from chatsite.catalogue import actions, aliases, deliveries, hub, subjects, troubles
from chatsite.catalogue.errors import (
    HereAlreadyError,
    NotHereError,
    PathError,
    UnderwayError,
    WrongStateError,
)
from chatsite.catalogue.models import Delivery, Model
from chatsite.chat import actions as chat
from chatsite.chat.actions import Draft
from chatsite.gateway import library
from chatsite.gateway.library import LibraryError
from chatsite.gateway.models import Generation
from chatsite.steward.rounds import Steward
from inference import board
from inference.board import EngineState
from tests.site.catalogue.working import COMMIT, GGUF, VARIANT, Worker, step

pytestmark = pytest.mark.django_db(transaction=True)
State = Delivery.State


@pytest.fixture
def worker(broker: redis.Redis) -> Worker:
    return Worker(broker)


@pytest.fixture
def row(alice: User, worker: Worker) -> Delivery:
    return deliveries.begin_download(alice, "owner/tiny-GGUF", COMMIT, VARIANT)


def topics(broker: redis.Redis) -> list[tuple[int | None, str]]:
    found: Any = broker.xrange("notices")
    told = [json.loads(fields[b"n"]) for _, fields in found]
    broker.delete("notices")
    return [(each["user"], each["topic"]) for each in told]


def test_it_works(alice: User, bob: User, worker: Worker, row: Delivery) -> None:
    assert (row.state, row.total, row.fraction) == (State.WAITING, 1000, 0.0)
    claim = worker.take()
    assert (claim.errand.repo, claim.errand.revision) == ("owner/tiny-GGUF", COMMIT)
    assert claim.errand.files == (GGUF,)
    worker.tell(claim, phase="fetching", file=GGUF.path, done=250, total=1000, speed=100.0)
    step(row)
    assert (row.state, row.phase, row.fraction, row.seconds_left) == (
        "running",
        "fetching",
        0.25,
        8,
    )
    assert row.worker == "box-1"
    # A new step counts no bytes of its own: the bar does not go back.
    worker.tell(claim, phase="testing", done=0, total=0, speed=0.0)
    assert (step(row).done, row.total) == (1000, 1000)
    topics(worker.broker)
    worker.bring(claim, licence="apache-2.0")
    step(row)
    assert (row.state, row.speed, row.ended is not None) == (State.DONE, 0, True)
    model = row.model
    assert model is not None
    assert (model.name, model.title, model.enabled) == ("tiny", "tiny", True)
    assert model.source == {"store": f"{row.folder}/tiny-Q4_K_M.gguf"}
    assert (model.repo, model.revision, model.licence) == (row.repo, COMMIT, "apache-2.0")
    assert (model.size, model.quant, model.node) == (1000, "Q4_K_M", "box-1")
    assert actions.answering_models(bob) == [model]
    told = topics(worker.broker)
    # The pickers of all people, and the pages of the admin alone.
    assert (None, "models") in told
    assert {user for user, topic in told if topic == "deliveries"} == {alice.pk}


def test_it_lands_once(worker: Worker, row: Delivery) -> None:
    worker.bring(worker.take())
    state = library.states([row.pk.hex])[row.pk.hex]
    for _ in range(3):
        deliveries.settle(row.pk, state)
        deliveries.step()
    assert Model.objects.count() == 1


def test_the_same_is_not_fetched_twice(alice: User, worker: Worker, row: Delivery) -> None:
    def again() -> Delivery:
        return deliveries.begin_download(alice, "owner/tiny-GGUF", COMMIT, VARIANT)

    with pytest.raises(UnderwayError) as refused:
        again()
    assert refused.value.delivery == row.pk
    worker.bring(worker.take())
    step(row)
    with pytest.raises(HereAlreadyError) as here:
        again()
    assert here.value.model == "tiny"
    # Another commit is another model, and gets a name that is free.
    other = deliveries.begin_download(alice, "owner/tiny-GGUF", "f" * 40, VARIANT)
    worker.bring(worker.take())
    model = step(other).model
    assert model is not None
    assert (model.name, model.title) == ("tiny-q4_k_m", "tiny Q4_K_M")


def test_pause_and_resume(worker: Worker, row: Delivery) -> None:
    deliveries.pause(row.pk)
    assert step(row).state == State.PAUSED
    assert worker.idles()
    with pytest.raises(WrongStateError):
        deliveries.pause(row.pk)
    deliveries.resume(row.pk)
    claim = worker.take()
    assert step(row).state == State.RUNNING
    deliveries.pause(row.pk)
    assert worker.tell(claim, done=500) == "pause"
    worker.finish(claim, "paused")
    assert (step(row).state, row.done) == (State.PAUSED, 500)
    deliveries.resume(row.pk)
    assert step(row).state == State.WAITING
    worker.bring(worker.take())
    assert step(row).state == State.DONE
    with pytest.raises(WrongStateError):
        deliveries.resume(row.pk)


def test_cancel_and_retry(worker: Worker, row: Delivery) -> None:
    claim = worker.take()
    deliveries.cancel(row.pk)
    assert worker.tell(claim, done=500) == "cancel"
    worker.finish(claim, "cancelled")
    assert (step(row).state, row.is_live) == (State.CANCELLED, False)
    with pytest.raises(WrongStateError):
        deliveries.cancel(row.pk)
    deliveries.retry(row.pk)
    assert step(row).state == State.WAITING
    worker.bring(worker.take())
    assert step(row).state == State.DONE
    with pytest.raises(WrongStateError):
        deliveries.retry(row.pk)


def test_what_failed_says_why_and_can_be_tried_again(worker: Worker, row: Delivery) -> None:
    claim = worker.take()
    worker.tell(claim, done=900)
    worker.finish(claim, "failed", error={"kind": "no_space", "needed": 2e9, "free": 1e9})
    step(row)
    assert row.state == State.FAILED
    assert "1.9" in troubles.explain(row.error)
    deliveries.retry(row.pk)
    step(row)
    assert (row.state, row.error, row.ended) == (State.WAITING, None, None)
    worker.bring(worker.take())
    assert step(row).state == State.DONE


def test_what_redis_lost_is_entered_again(worker: Worker, row: Delivery) -> None:
    worker.tell(worker.take(), done=500)
    step(row)
    worker.broker.flushall()
    step(row)
    assert row.state == State.RUNNING
    worker.bring(worker.take())
    assert step(row).state == State.DONE


def test_a_pause_outlives_redis(worker: Worker, row: Delivery) -> None:
    deliveries.pause(row.pk)
    step(row)
    worker.broker.flushall()
    step(row)
    step(row)
    assert row.state == State.PAUSED
    assert worker.idles()


def test_a_cancel_that_redis_did_not_hear(worker: Worker, row: Delivery) -> None:
    worker.broker.flushall()
    deliveries.cancel(row.pk)
    assert step(row).state == State.CANCELLED
    assert worker.idles()


def test_a_wish_while_redis_is_away_is_obeyed_when_it_is_back(
    worker: Worker, row: Delivery, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = worker.take()

    def away(*_: object) -> None:
        raise LibraryError("broker")

    with monkeypatch.context() as patch:
        patch.setattr(library, "wish", away)
        patch.setattr(library, "states", away)
        deliveries.pause(row.pk)
        assert step(row).is_live
    assert worker.tell(claim) == ""
    step(row)
    assert worker.tell(claim) == "pause"


def test_the_steward_does_it(worker: Worker, row: Delivery) -> None:
    worker.bring(worker.take())
    Steward().round()
    assert Model.objects.get().name == "tiny"


def test_an_import_of_a_bundle_brings_what_it_was_told_there(alice: User, worker: Worker) -> None:
    """Nothing of it is trusted: what cannot be is left out."""
    Model.objects.create(name="taken", source={})
    row = deliveries.begin_import(alice, "/media/stick/writer.tar", {"title": "Ours"})
    told = {
        "name": "../Our Writer",
        "title": "Theirs",
        "description": "Writes.\0",
        "system_prompt": ["no text"],
        "settings": {"context_length": 4096, "slots": -3, "library": "evil.so"},
        "defaults": {"temperature": 0.2, "top_p": "high", "seed": 7},
        "aliases": ["gpt-4o", "taken", "a b", 7],
    }
    claim = worker.take()
    assert (claim.errand.kind, claim.errand.path) == ("import", "/media/stick/writer.tar")
    assert claim.errand.hub.permit == ""
    worker.bring(claim, about=told)
    model = step(row).model
    assert model is not None
    assert (model.name, model.title, model.description) == ("our-writer", "Ours", "Writes.")
    assert (model.system_prompt, model.settings) == ("", {"context_length": 4096})
    assert model.defaults == {"temperature": 0.2}
    assert aliases.names_of(model) == {"our-writer", "gpt-4o"}


def test_odd_characters_of_a_file_are_no_poison(alice: User, worker: Worker) -> None:
    """PostgreSQL takes neither NULs nor half characters, and the steward must not stumble each
    round."""
    row = deliveries.begin_import(alice, "/media/tiny.gguf", {"description": "a\0b"})
    claim = worker.take()
    worker.tell(claim, phase="copying", file="a\0b.gguf", error={"kind": "x", "file": "\0"})
    assert (step(row).file, row.error) == ("ab.gguf", {"kind": "x", "file": ""})
    worker.bring(claim, name="Ti\0ny", about={"title": "\0"})
    model = step(row).model
    assert model is not None
    assert (model.title, model.landed["name"]) == ("Tiny", "Tiny")
    assert model.description == "ab"
    assert subjects.storable({"a\0": ["\ud800", 1, None]}) == {"a": ["?", 1, None]}


@pytest.mark.parametrize("path", ["", "writer.gguf", "../x", "/a\0b", "/" + "x" * 5000])
def test_a_path_is_whole(alice: User, worker: Worker, path: str) -> None:
    with pytest.raises(PathError):
        deliveries.begin_import(alice, path)
    assert not Delivery.objects.exists()


def test_export(alice: User, worker: Worker, row: Delivery) -> None:
    worker.bring(worker.take())
    model = step(row).model
    assert model is not None
    actions.change(
        model.pk,
        actions.Facts(name="tiny", title="Ours", defaults={"top_k": 3}, aliases=["gpt-4o"]),
    )
    model.refresh_from_db()
    export = deliveries.begin_export(alice, model, "/media/stick/tiny.tar")
    claim = worker.take()
    assert (claim.errand.kind, claim.errand.folder, claim.errand.node) == (
        *("export", row.folder, "box-1"),
    )
    about = claim.errand.about
    assert (about["title"], about["defaults"], about["aliases"]) == (
        "Ours",
        {"top_k": 3},
        ["gpt-4o"],
    )
    worker.finish(claim)
    assert step(export).state == State.DONE
    assert Model.objects.count() == 1
    starter = Model.objects.create(name="starter", source={"package": "x", "file": "y"})
    with pytest.raises(NotHereError):
        deliveries.begin_export(alice, starter, "/media/stick/starter.tar")


def test_a_removal_waits_until_nobody_uses_the_files(
    alice: User, bob: User, worker: Worker, row: Delivery
) -> None:
    worker.bring(worker.take())
    model = step(row).model
    assert model is not None
    assert actions.freed_by(model) == 1000
    answer = chat.say(bob, None, Draft("Hi", uuid4(), model.name, {})).answer
    board.post(worker.broker, EngineState("box-1", model.name, "ready"))
    assert actions.remove(model, alice) == 1000
    assert actions.usable_models(bob) == []
    removal = Delivery.objects.get(kind=Delivery.Kind.REMOVE)
    step(removal)
    assert worker.idles()
    assert not worker.broker.get(f"unload:{model.name}")
    assert answer.generation
    Generation.objects.filter(pk=answer.generation.pk).update(status=Generation.Status.DONE)
    step(removal)
    assert worker.idles()
    # It is asked to go, and goes.
    assert worker.broker.get(f"unload:{model.name}")
    board.take_down(worker.broker, "box-1", model.name)
    step(removal)
    claim = worker.take()
    assert (claim.errand.kind, claim.errand.folder) == ("remove", row.folder)
    worker.finish(claim)
    assert step(removal).state == State.DONE


def test_files_that_another_model_has_stay(alice: User, worker: Worker, row: Delivery) -> None:
    worker.bring(worker.take())
    model = step(row).model
    assert model is not None
    twin = Model.objects.create(name="twin", source=model.source, landed=model.landed)
    assert actions.freed_by(model) == 0
    assert actions.remove(model, alice) == 0
    assert not Delivery.objects.live().exists()
    assert actions.freed_by(twin) == 1000


def test_forget(worker: Worker, row: Delivery) -> None:
    with pytest.raises(WrongStateError):
        deliveries.forget(row.pk)
    worker.finish(worker.take(), "failed", error={"kind": "gated"})
    step(row)
    deliveries.forget(row.pk)
    assert not Delivery.objects.exists()
    assert library.states([row.pk.hex]) == {}


def test_what_ended_long_ago_is_forgotten(worker: Worker, row: Delivery) -> None:
    worker.bring(worker.take())
    step(row)
    deliveries.purge()
    assert Delivery.objects.exists()
    Delivery.objects.update(ended=timezone.now() - timedelta(days=91))
    deliveries.purge()
    assert not Delivery.objects.exists()
    assert Model.objects.exists()


def test_r7_the_token_goes_along_sealed_and_with_downloads_alone(
    alice: User, worker: Worker
) -> None:
    hub.change("https://mirror.example.com", ["files.example.com"], "hf_secret")
    deliveries.begin_download(alice, "owner/tiny-GGUF", COMMIT, VARIANT)
    deliveries.begin_import(alice, "/media/tiny.gguf")
    fetched, imported = worker.take().errand, worker.take().errand
    assert fetched.hub.endpoint == "https://mirror.example.com"
    assert fetched.hub.hosts == ("files.example.com",)
    assert fetched.hub.permit
    assert imported.hub.permit == ""
    for key in worker.broker.scan_iter("errand:*"):
        assert b"hf_secret" not in b"".join(worker.broker.hvals(key))  # type: ignore[arg-type]
