"""The page of the machines: what each is, how it stands, and what an admin may do with it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import redis
from django.test import Client

from chatsite.catalogue.keeping import Keeper
from chatsite.catalogue.models import Model
from inference import board, client, duty, release
from inference.board import EngineState, WorkerState
from inference.release import OURS
from tests.site.catalogue.test_pages import form
from tests.site.catalogue.test_providers import page

pytestmark = pytest.mark.django_db(transaction=True)
MACHINES = "/settings/machines"
GIB = 1 << 30
BOX = WorkerState(
    "box-1",
    "box",
    1,
    "",
    8,
    32 * GIB,
    20 * GIB,
    ("llamacpp", "vllm"),
    machine={"processor": "Fast CPU", "graphics": "Card 9", "graphics_free": 24 * GIB},
    product=OURS.product,
    builds={"llama-cpp-python": "0.3.32", "vllm": "0.32.0"},
    measured={"tiny": 37.0},
)


def stands(shown: str, word: str) -> bool:
    return f">{word}</span>" in shown


def test_it_works(alice_client: Client, broker: redis.Redis) -> None:
    Model.objects.create(name="tiny", title="Tiny", engine="echo", source={})
    Model.objects.create(name="other", title="Other", engine="echo", source={})
    board.greet(broker, BOX)
    board.greet(broker, replace(BOX, name="box-2"))
    board.post(broker, EngineState("box-1", "tiny", "ready", running=3, slots=4))
    broker.zadd("waiting:tiny", {"a": 1, "b": 2})
    shown = page(alice_client, MACHINES)
    for words in (
        *("Fast CPU", "8 cores", "20.0\xa0GB of 32.0\xa0GB free", "Card 9 · 24.0\xa0GB free"),
        *("llama.cpp, vLLM", "llama-cpp-python 0.3.32", "vllm 0.32.0"),
        *("37 tokens/s", "Writes 3 answers", "3 running, 2 waiting", "0 running, 0 waiting"),
    ):
        assert words in shown, words
    assert stands(shown, "In service")
    assert "Wrong version" not in shown


def test_it_is_drained_and_works_again(alice_client: Client, broker: redis.Redis) -> None:
    board.greet(broker, BOX)
    shown = page(alice_client, f"{MACHINES}/acts/drain", name="box-1")
    until = duty.resting(broker)["box-1"]
    assert time.time() + 500 < until
    board.greet(broker, replace(BOX, duty="draining", errands=1))
    shown = page(alice_client, MACHINES)
    assert stands(shown, "Draining")
    assert "1 download is at work" in shown
    page(alice_client, f"{MACHINES}/acts/hand-over", name="box-1")
    assert duty.resting(broker)["box-1"] <= time.time()
    board.greet(broker, replace(BOX, duty="drained"))
    shown = page(alice_client, MACHINES)
    assert stands(shown, "Drained")
    assert "it may be switched off" in shown
    page(alice_client, f"{MACHINES}/acts/resume", name="box-1")
    assert duty.resting(broker) == {}


def test_one_of_another_version_is_told_with_both(
    alice_client: Client, broker: redis.Redis
) -> None:
    board.greet(broker, replace(BOX, product="0.0.7", protocol=0, duty="refused"))
    shown = page(alice_client, MACHINES)
    assert stands(shown, "Wrong version")
    assert "It has version 0.0.7 (protocol 0)" in shown
    assert f"this site has version {OURS.product} (protocol {OURS.protocol})" in shown
    assert "Drain for maintenance" not in shown


def test_one_that_has_gone_is_shown_until_it_is_removed(
    alice_client: Client, broker: redis.Redis
) -> None:
    board.greet(broker, BOX)
    for key in (board.WORKERS, board.KNOWN):
        broker.zadd(key, {"box-1": time.time() - 7200})
    shown = page(alice_client, MACHINES)
    assert stands(shown, "Does not answer")
    assert "2\xa0hours ago" in shown
    board.part(broker, replace(BOX, duty="off"))
    duty.rest(broker, "box-1")
    shown = page(alice_client, MACHINES)
    assert stands(shown, "Switched off")
    page(alice_client, f"{MACHINES}/acts/forget", name="box-1")
    assert client.roster(broker) == []
    assert duty.resting(broker) == {}
    assert "No machine answers" in page(alice_client, MACHINES)


def test_what_is_not_there_is_not_found(alice_client: Client, broker: redis.Redis) -> None:
    board.greet(broker, BOX)
    for act, name in (("drain", "box-2"), ("explode", "box-1"), ("drain", "")):
        answer = alice_client.post(f"{MACHINES}/acts/{act}", {"name": name})
        assert answer.status_code == 404, (act, name)
    assert duty.resting(broker) == {}


def test_an_admin_chooses_the_machines_of_a_model(
    alice_client: Client, broker: redis.Redis
) -> None:
    model = Model.objects.create(name="tiny", title="Tiny", engine="echo", source={})
    board.greet(broker, BOX)
    board.greet(broker, replace(BOX, name="box-2"))
    address = f"/settings/models/{model.pk}"
    assert "Where it runs" in page(alice_client, address)
    page(alice_client, address, **form(model), nodes="box-2")
    model.refresh_from_db()
    assert model.nodes == ["box-2"]
    Keeper().look()
    assert duty.read(broker, "box-2").placed == {"tiny": frozenset({"box-2"})}
    refused = page(alice_client, address, **form(model), nodes="nowhere")
    assert "nowhere is not one of the available choices" in refused
    page(alice_client, address, **form(model))
    Keeper().look()
    assert duty.read(broker, "box-2").placed == {}


def test_workers_are_told_the_site_s_version(broker: redis.Redis) -> None:
    assert broker.get(release.SITE) is None
    Keeper().look()
    assert duty.read(broker, "box-1").site == OURS
    assert broker.get(release.SITE)
