"""Plans for models of every size on machines of every size: they fit, and waste no slot."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inference import fit
from inference.engines.llamacpp import model
from inference.fit import Plan, TooLargeError, Wishes
from inference.gguf import Header
from inference.library import forecast

GIB = 1 << 30


def header(gib: float = 4.5, **changes: Any) -> Header:
    """As of a model with eight billion parameters: 128 KiB a token."""
    known = Header(
        architecture="llama",
        name="",
        size_label="8B",
        quantization="Q4_K_M",
        chat_template="",
        parameters=8 * 10**9,
        file_bytes=int(gib * GIB),
        tensor_bytes=int(gib * GIB),
        block_count=32,
        context_length=131072,
        embedding_length=4096,
        vocab_size=128_000,
        head_count=32,
        head_count_kv=(8,) * 32,
        key_length=128,
        value_length=128,
        sliding_window=0,
        recurrent=False,
        state_bytes=0,
    )
    return replace(known, **changes)


def shape(plan: Plan) -> tuple[int, int, int]:
    return plan.setup.slots, plan.setup.context_length, plan.setup.shared_cells


def on(gib: float, model: Header | None = None, **wishes: int) -> Plan:
    return fit.plan(model or header(), int(gib * GIB), Wishes(**wishes))


def test_it_works() -> None:
    plan = on(24)
    # The streams take half of what is left, 1 GiB each.
    assert shape(plan) == (8, 8192, 0)
    assert not plan.cramped
    assert 13 * GIB < plan.bytes < 16 * GIB
    assert plan.setup.shelf_bytes == pytest.approx(1.9 * GIB, rel=0.05)


@pytest.mark.parametrize(
    ("gib", "expected", "cramped"),
    [
        (200, (9, 8192, 0), False),
        (12, (4, 8192, 0), False),
        (8, (4, 4096, 0), True),
        # Less than four streams: they share what is there.
        (6.5, (10, 4096, 10752), True),
        (6, (6, 4096, 6912), True),
        (5.3, (2, 2048, 2048), True),
    ],
)
def test_the_less_memory_the_less_of_everything(
    gib: float, expected: tuple[int, int, int], cramped: bool
) -> None:
    plan = on(gib)
    assert shape(plan) == expected
    assert plan.cramped == cramped


def test_a_small_model_has_many_slots() -> None:
    changes = {"key_length": 64, "value_length": 64, "context_length": 2048}
    small = header(0.1, head_count_kv=(3,) * 30, **changes)
    assert shape(on(6, small)) == (32, 2048, 0)


def test_what_does_not_fit_is_refused_with_the_figures() -> None:
    with pytest.raises(TooLargeError) as error:
        on(4.9)
    assert 5.2 * GIB < error.value.needed < 5.3 * GIB
    assert error.value.free == int(4.9 * GIB)
    # What it says it needs is enough.
    plan = fit.plan(header(), error.value.needed, Wishes())
    assert shape(plan) == (2, 2048, 2048)
    with pytest.raises(TooLargeError):
        fit.plan(header(), -5, Wishes())


@pytest.mark.parametrize(
    ("gib", "wishes", "expected"),
    [
        (24, {"slots": 2}, (2, 8192, 0)),
        (24, {"slots": 64, "context": 512}, (64, 512, 0)),
        (24, {"slots": 1}, (1, 8192, 0)),
        (24, {"context": 16384}, (4, 16384, 0)),
        # A context that an admin set does not shrink: the pool is shared instead.
        (12, {"context": 16384}, (16, 16384, 51200)),
        (8, {"slots": 12}, (12, 4096, 21760)),
        # More than the model was trained for is never given.
        (200, {"context": 1 << 20, "slots": 1}, (1, 131072, 0)),
    ],
)
def test_an_admin_may_wish(
    gib: float, wishes: dict[str, int], expected: tuple[int, int, int]
) -> None:
    assert shape(on(gib, None, **wishes)) == expected


def test_the_wishes_are_read_from_the_settings() -> None:
    assert Wishes.of({"slots": 3, "context_length": 512, "gpu_layers": 0}) == Wishes(3, 512, 0)
    assert Wishes.of({}, slots=7) == Wishes(7, 0, -1)
    assert Wishes.of({"slots": "4", "context_length": -1, "gpu_layers": None}) == Wishes()


def test_a_recurrent_model_needs_a_state_for_each_slot() -> None:
    mamba = header(head_count_kv=(0,) * 32, recurrent=True, state_bytes=GIB)
    plan = on(10, mamba)
    assert plan.setup.slots == 4
    with pytest.raises(TooLargeError):
        on(5.5, mamba)
    assert on(6.1, mamba).setup.slots == 1


@pytest.mark.parametrize("kv", [1, 8, 64])
@pytest.mark.parametrize("state", [0, 100 << 20])
@pytest.mark.parametrize("trained", [0, 512, 3000, 131072])
@pytest.mark.parametrize("slots", [0, 1, 6])
@pytest.mark.parametrize("context", [0, 1000, 20000])
def test_a_plan_always_fits(kv: int, state: int, trained: int, slots: int, context: int) -> None:
    model = header(1, head_count_kv=(kv,) * 32, state_bytes=state, context_length=trained)
    fitted, before = 0, 0
    for gib in (1, 1.5, 2, 2.5, 3, 4, 6, 9, 14, 30, 100):
        try:
            plan = on(gib, model, slots=slots, context=context)
        except TooLargeError:
            assert not fitted
            continue
        fitted += 1
        setup = plan.setup
        assert plan.bytes <= gib * GIB
        assert setup.slots >= 1
        assert min(trained or 8192, context or 2048, 2048) <= setup.context_length
        assert setup.context_length <= (trained or 8192)
        assert setup.shared_cells == 0 or setup.shared_cells >= setup.context_length
        tokens = setup.shared_cells or setup.slots * setup.context_length
        assert tokens >= before or setup.slots >= 4
        before = tokens
    assert fitted


def test_the_scores_of_attention_are_reckoned_with() -> None:
    assert forecast.SCORES == model.SCORES
