"""Who chooses weights learns how they would run on each machine, and where vLLM is a choice."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import redis
from django.test import Client

from chatsite.catalogue import advice, library
from inference import board, hardware
from inference.board import WorkerState
from inference.library.nouns import FileRef, Machine, Variant
from tests.site.catalogue.test_pages_adding import FOUND, LOOK, MACHINE, REPO, SHAPES, Hub, variant
from tests.site.catalogue.test_providers import page

pytestmark = pytest.mark.django_db(transaction=True)
TENSORS = Variant("BF16", "safetensors", (FileRef("model.safetensors", 3 << 30),), SHAPES)
GPU = replace(MACHINE, engines=("vllm",), graphics="A card", graphics_free=20 << 30)


def card(name: str, machine: Machine) -> library.Card:
    state = WorkerState(name, name, 1, "", 8, 32 << 30, 24 << 30, engines=machine.engines)
    return state, machine


def greet(broker: redis.Redis, name: str, machine: Machine) -> None:
    state, told = card(name, machine)
    board.greet(broker, replace(state, machine=asdict(told)))


def test_it_works(alice_client: Client, broker: redis.Redis) -> None:
    greet(broker, "box-1", replace(MACHINE, amx=True))
    greet(broker, "box-2", GPU)
    hub = Hub(broker)
    hub.answers["look"] = asdict(replace(FOUND, variants=(TENSORS,)))
    hub.start()
    try:
        text = page(alice_client, f"{LOOK}?repo={REPO}")
    finally:
        hub.over.set()
        hub.join()
    assert "box-1: <span" in text
    assert "No engine for it here" in text
    assert "box-1: the processor has AMX" in text
    assert "These weights need vLLM" not in text


def test_it_goes_where_its_engine_is() -> None:
    cards = [card("box-1", MACHINE), card("box-2", GPU)]
    tensors, gguf = library.fits([TENSORS, variant("Q4_K_M", 1 << 30)], cards)
    assert (tensors.node, gguf.node) == ("box-2", "box-1")
    assert [other.forecast.verdict for other in (*tensors.others, *gguf.others)] == [
        "no_engine",
        "no_engine",
    ]
    assert tensors.forecast.memory_bytes > 3 << 30
    assert tensors.forecast.slots > 1


def test_a_model_beyond_the_memory_does_not_fit() -> None:
    large = replace(TENSORS, files=(FileRef("model.safetensors", 90 << 30),))
    assert library.fits([large], [card("box-2", GPU)])[0].forecast.verdict == "does_not_fit"


def test_what_is_lacking_is_said() -> None:
    (sentence,) = advice.on_weights([TENSORS], [card("box-1", MACHINE)])
    assert "need vLLM" in sentence
    assert advice.on_weights(FOUND.variants, [card("box-1", MACHINE)]) == []
    # Nobody has reported: nothing is known of anybody.
    assert advice.on_weights([TENSORS], []) == []


def test_a_worker_tells_whether_its_processor_has_amx(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"flags\t\t: fpu amx_bf16 avx2 amx_tile": True, "flags\t\t: fpu avx2": False, "": False}
    for line, expected in told.items():
        hardware.has_amx.cache_clear()
        monkeypatch.setattr("pathlib.Path.read_text", lambda *_, line=line: f"x: y\n{line}\n")
        assert hardware.has_amx() is expected
    hardware.has_amx.cache_clear()
