"""A prompt tries a model without a conversation; a model that is to stay in memory is asked for."""

from __future__ import annotations

import uuid

import pytest
import redis

from chatsite.accounts.models import User
from chatsite.catalogue import actions, keeping, trials
from chatsite.catalogue.keeping import Keeper
from chatsite.catalogue.models import Model
from chatsite.chat.models import Conversation
from chatsite.gateway.models import Generation
from chatsite.steward.rounds import Steward
from inference import board
from inference.board import EngineState, WorkerState
from inference.contract import TASKS, Request
from tests.site.chat.socket import Worker, words

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def model(db: None, broker: redis.Redis) -> Model:
    return Model.objects.create(
        name="echo",
        engine="echo",
        source={},
        enabled=False,
        system_prompt="Be kind.",
        defaults={"temperature": 0.2},
    )


def test_it_works(alice: User, model: Model, broker: redis.Redis) -> None:
    pk = trials.begin(alice, model, "Hello\0")
    worker = Worker(broker, pk.hex)
    worker.write(3)
    trial = trials.look(alice, pk)
    assert trial is not None
    assert (trial.text, trial.ended) == (words(3), False)
    worker.end()
    Steward().round()
    trial = trials.look(alice, pk)
    assert trial is not None
    assert (trial.text, trial.ended, trial.trouble) == (words(3), True, "")
    assert not Conversation.objects.exists()
    asked = Request.from_dict(Generation.objects.get().request)
    assert (asked.sampling.temperature, asked.sampling.max_tokens) == (0.2, trials.TOKENS)


def test_r9_bob_reads_no_trial_of_alices(alice: User, bob: User, model: Model) -> None:
    pk = trials.begin(alice, model, "Hello")
    assert trials.look(bob, pk) is None
    assert trials.look(alice, uuid.uuid4()) is None
    trials.stop(bob, pk)
    Steward().round()
    trial = trials.look(alice, pk)
    assert trial is not None
    assert not trial.ended
    trials.stop(alice, pk)
    Steward().round()
    Steward().round()
    trial = trials.look(alice, pk)
    assert trial is not None
    assert trial.ended


def asked_for(broker: redis.Redis) -> int:
    return int(broker.zcard(f"waiting:echo{TASKS}") or 0)


def test_what_is_kept_is_loaded(
    alice: User, model: Model, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PAUSE", 0.0)
    keeper = Keeper()
    keeper.look()
    assert broker.smembers("kept") == set()
    Model.objects.update(keep_loaded=True, enabled=True)
    # Without a worker nobody could.
    keeper.look()
    assert (broker.smembers("kept"), asked_for(broker)) == ({b"echo"}, 0)
    board.greet(broker, WorkerState("box-1", "box", 1, "", 2, 1, 1))
    keeper.look()
    assert asked_for(broker) == 1


def test_it_is_not_asked_for_again_and_again(
    alice: User, model: Model, broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    Model.objects.update(keep_loaded=True, enabled=True)
    board.greet(broker, WorkerState("box-1", "box", 1, "", 2, 1, 1))
    keeper = Keeper()
    for _ in range(5):
        keeper._next = 0.0
        keeper.look()
    assert asked_for(broker) == 1
    # It was loaded meanwhile, and is gone: that is another matter.
    board.post(broker, EngineState("box-1", "echo", "idle"))
    keeper._next = 0.0
    keeper.look()
    board.take_down(broker, "box-1", "echo")
    keeper._next = 0.0
    keeper.look()
    assert asked_for(broker) == 2


def test_switched_off_is_not_kept(alice: User, model: Model, broker: redis.Redis) -> None:
    Model.objects.update(keep_loaded=True, enabled=True)
    actions.enable(model.pk, on=False)
    Keeper().look()
    assert broker.smembers("kept") == set()
