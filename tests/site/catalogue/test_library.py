"""Of what a repository has, each is shown as it would run on the machine that suits it best; what
was named is taken, else what is recommended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
import redis

from chatsite.accounts.models import User
from chatsite.catalogue import library
from chatsite.catalogue.models import Model
from chatsite.gateway.library import LibraryError, Repository, Variant, Wanted
from inference import board
from inference.board import WorkerState
from inference.library.nouns import FileRef, Machine, Shapes
from tests.site.catalogue.working import COMMIT, Hub

pytestmark = pytest.mark.django_db(transaction=True)
GB = 1 << 30
SHAPES = Shapes(
    architecture="llama",
    parameters=8_000_000_000,
    active_parameters=8_000_000_000,
    layers=32,
    context_length=131072,
    embedding_length=4096,
    feed_forward_length=14336,
    vocab_size=128256,
    head_count=32,
    head_count_kv=(8,) * 32,
    key_length=128,
    value_length=128,
    windows=(0,) * 32,
)


def variant(quant: str, size: int) -> Variant:
    return Variant(quant, "gguf", (FileRef(f"big-{quant}.gguf", size, ""),), SHAPES)


SMALL, LARGE = variant("Q4_K_M", 5 * GB), variant("Q8_0", 9 * GB)
FOUND = Repository("owner/big-GGUF", COMMIT, variants=(LARGE, SMALL))


def card(name: str, memory: int, bandwidth: float = 60e9) -> library.Card:
    machine = Machine(
        memory_total=memory,
        memory_free=memory - GB,
        disk_free=1 << 40,
        cores=16,
        bandwidth=bandwidth,
        rates={"": bandwidth},
        engines=("llamacpp",),
    )
    return WorkerState(name, name, 1, "", 16, memory, memory - GB, ("llamacpp",)), machine


def test_it_works() -> None:
    (large, small) = library.fits(FOUND.variants, [card("box-1", 9 * GB)])
    assert large.forecast.verdict == "does_not_fit"
    assert small.forecast.verdict in {"runs_well", "runs_slowly", "unknown"}
    assert (large.recommended, small.recommended) == (False, True)
    assert small.forecast.memory_bytes > 5 * GB
    assert small.node == "box-1"


def test_the_machine_that_suits_it_best() -> None:
    fits = library.fits((LARGE,), [card("box-1", 9 * GB), card("server-1", 64 * GB)])
    assert [fit.node for fit in fits] == ["server-1"]
    assert fits[0].forecast.verdict != "does_not_fit"


def test_without_a_machine_nothing_is_promised() -> None:
    (fit,) = library.fits((SMALL,), [])
    assert (fit.node, fit.forecast.verdict) == ("", "unknown")


def test_with_one_machine_there_is_no_choice(broker: redis.Redis) -> None:
    board.greet(broker, card("box-1", 9 * GB)[0])
    assert library.node_for(LARGE) == ""
    board.greet(broker, card("server-1", 64 * GB)[0])
    assert library.node_for(LARGE) in {"box-1", "server-1"}


def test_what_was_named_is_taken(broker: redis.Redis) -> None:
    def chosen(**wanted: str) -> Variant:
        return library.choose(FOUND, Wanted(FOUND.repo, **wanted))

    assert chosen(quant="Q8_0") == LARGE
    assert chosen(file="big-Q4_K_M.gguf") == SMALL
    # Nobody knows any machine: something is taken all the same.
    assert chosen() in FOUND.variants
    for wrong in ({"quant": "Q2_K"}, {"file": "other.gguf"}):
        with pytest.raises(LibraryError) as refused:
            chosen(**wrong)
        assert refused.value.kind == "no_variant"
        assert refused.value.facts["quants"] == ["Q8_0", "Q4_K_M"]
    with pytest.raises(LibraryError):
        library.choose(replace(FOUND, variants=()), Wanted(FOUND.repo))


@pytest.fixture
def hub(broker: redis.Redis) -> Iterator[Hub]:
    hub = Hub(broker)
    hub.start()
    yield hub
    hub.close()


def test_a_question_is_answered_by_a_worker(hub: Hub) -> None:
    found = library.look("owner/tiny-GGUF")
    assert (found.revision, found.licence) == (COMMIT, "mit")
    hub.error = LibraryError("gated", repo="owner/tiny-GGUF")
    with pytest.raises(LibraryError) as refused:
        library.look("owner/tiny-GGUF")
    assert (refused.value.kind, refused.value.facts["repo"]) == ("gated", "owner/tiny-GGUF")


def test_pull(alice: User, hub: Hub) -> None:
    row = library.pull(alice, "https://huggingface.co/owner/tiny-GGUF", {"name": "ours"})
    assert (row.repo, row.revision, row.quant) == ("owner/tiny-GGUF", COMMIT, "Q4_K_M")
    assert row.about == {"licence": "mit", "name": "ours"}
    with pytest.raises(LibraryError) as refused:
        library.pull(alice, "https://evil.example.com/tiny.gguf")
    assert refused.value.kind == "refused_host"
    for text in ("", "no model", "../../etc/passwd", "https://huggingface.co/datasets/a/b"):
        with pytest.raises(LibraryError):
            library.pull(alice, text)


def test_nobody_asks_the_web_process_to_wait_for_ever(
    broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.greet(broker, card("box-1", 9 * GB)[0])
    monkeypatch.setattr(library, "PATIENCE", 1.0)
    begun = time.monotonic()
    with pytest.raises(LibraryError) as refused:
        library.look("owner/tiny-GGUF")
    assert refused.value.kind == "no_answer"
    assert time.monotonic() - begun < 5


def test_what_was_measured_replaces_what_was_foretold() -> None:
    worker, machine = card("slow", 32 * GB)
    cards = [(replace(worker, measured={"big": 3.5}), machine)]
    [fit] = library.fits([SMALL], cards)
    assert fit.forecast.verdict == "runs_well"
    seen = library.as_measured(fit, Model(name="big"), cards)
    assert (seen.forecast.tokens_per_second, seen.forecast.verdict) == (3.5, "runs_slowly")
    assert seen.forecast.memory_bytes == fit.forecast.memory_bytes
    for other in (None, Model(name="another")):
        assert library.as_measured(fit, other, cards) == fit
