"""The choice of a token: the filters keep what llama.cpp's own chain keeps, and a draw depends on
seed and position alone."""

from __future__ import annotations

import ctypes
from typing import Any, cast

import llama_cpp
import numpy as np
import pytest
from numpy.typing import NDArray

from inference.contract import Sampling
from inference.engines.llamacpp.sampling import Sampler, uniform
from inference.engines.vocabulary import Vocabulary

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
FREE: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}


class Words:
    """A vocabulary of which only the size and the ends matter."""

    def __init__(self, size: int, ends: set[int] | None = None) -> None:
        self.size, self.ends = size, frozenset(ends or ())


def sampler(size: int, *ends: int, **sampling: Any) -> Sampler:
    return Sampler(Sampling(**sampling), cast("Vocabulary", Words(size, set(ends))))


def logits(size: int, seed: int, scale: float = 3.0) -> NDArray[np.float32]:
    return (np.random.default_rng(seed).normal(size=size) * scale).astype(np.float32)


def chain(row: NDArray[np.float32], sampling: Sampling) -> set[int]:
    """What llama.cpp's filters keep."""
    params = llama_cpp.llama_sampler_chain_default_params()
    made = llama_cpp.llama_sampler_chain_init(params)
    if sampling.top_k > 0:
        llama_cpp.llama_sampler_chain_add(made, llama_cpp.llama_sampler_init_top_k(sampling.top_k))
    for value, make in (
        (sampling.typical_p, llama_cpp.llama_sampler_init_typical),
        (sampling.top_p, llama_cpp.llama_sampler_init_top_p),
    ):
        if value < 1:
            llama_cpp.llama_sampler_chain_add(made, make(value, 1))
    if sampling.min_p > 0:
        llama_cpp.llama_sampler_chain_add(
            made, llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1)
        )
    array = np.zeros(len(row), CANDIDATE)
    array["id"], array["logit"] = np.arange(len(row)), row
    data = llama_cpp.llama_token_data_array(
        data=array.ctypes.data_as(llama_cpp.llama_token_data_p),
        size=len(array),
        selected=-1,
        sorted=False,
    )
    llama_cpp.llama_sampler_apply(made, ctypes.byref(data))
    llama_cpp.llama_sampler_free(made)
    return set(array["id"][: data.size].tolist())


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(top_k=40, top_p=1, min_p=0),
        Sampling(top_k=0, top_p=0.9, min_p=0),
        Sampling(top_k=0, top_p=1, min_p=0.05),
        Sampling(top_k=0, top_p=1, min_p=0, typical_p=0.6),
        Sampling(top_k=50, top_p=0.8, min_p=0.02, typical_p=0.9),
        Sampling(top_k=1),
        Sampling(),
    ],
)
@pytest.mark.parametrize("scale", [0.1, 3.0, 9.0])
def test_the_filters_keep_what_llama_cpp_keeps(sampling: Sampling, scale: float) -> None:
    for seed in range(5):
        row = logits(2000, seed, scale)
        ids, _ = Sampler(sampling, cast("Vocabulary", Words(2000)))._filter(row)
        kept = chain(row, sampling)
        # The one at the boundary of a mass may fall on either side, by the width of a float.
        assert len(set(ids.tolist()) ^ kept) <= 1


def test_greedy_is_the_greatest() -> None:
    row = np.array([0.1, 5.0, 4.9, -1.0], dtype=np.float32)
    for penalty in (0.0, 0.001):
        chooser = sampler(4, temperature=0, presence_penalty=penalty)
        assert [chooser.choose(row, position) for position in range(5)] == [1] * 5


def test_penalties_are_restored_with_the_tokens() -> None:
    row = np.array([0.1, 5.0, 4.9, -1.0], dtype=np.float32)
    for penalty in ({"repetition_penalty": 2.0}, {"presence_penalty": 0.5}):
        chooser = sampler(4, temperature=0, **penalty)
        assert chooser.choose(row, 0) == 1
        chooser.accept(1)
        assert chooser.choose(row, 1) == 2
    counting = sampler(4, temperature=0, frequency_penalty=0.06)
    counting.accept(1)
    assert counting.choose(row, 1) == 1
    counting.accept(1)
    assert counting.choose(row, 2) == 2
    # The row that the engine lent is as it was.
    assert row[1] == 5.0


def test_ends_are_forbidden_until_the_least_length() -> None:
    row = np.array([0.1, 5.0, 4.9, -1.0], dtype=np.float32)
    chooser = sampler(4, 1, temperature=0, min_tokens=2, stop_token_ids=(2,))
    assert [chooser.choose(row, position) for position in range(3)] == [0, 0, 1]
    assert sampler(4, 1, temperature=0, ignore_eos=True).choose(row, 9) == 2


def test_a_draw_depends_on_seed_and_position_alone() -> None:
    row = logits(100, 1, 1.0)
    drawn = [
        [sampler(100, seed=9, **FREE).choose(row, position) for position in (3, 1, 2, 0, 3)]
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    assert drawn[0][0] == drawn[0][4]
    assert len(set(drawn[0])) > 2


def test_draws_follow_the_probabilities() -> None:
    row = np.log(np.array([0.7, 0.2, 0.1], dtype=np.float32))
    chooser = sampler(3, seed=1, **FREE)
    drawn = [chooser.choose(row, position) for position in range(4000)]
    assert np.allclose(np.bincount(drawn, minlength=3) / len(drawn), [0.7, 0.2, 0.1], atol=0.03)


def test_the_temperature_flattens() -> None:
    row = np.log(np.array([0.7, 0.2, 0.1], dtype=np.float32))
    hot = sampler(3, seed=1, **{**FREE, "temperature": 2.0})
    drawn = [hot.choose(row, position) for position in range(4000)]
    wanted = np.sqrt([0.7, 0.2, 0.1])
    shares = np.bincount(drawn, minlength=3) / len(drawn)
    assert np.allclose(shares, wanted / wanted.sum(), atol=0.03)


@pytest.mark.parametrize("seed", [0, -1, 1 << 70, -(1 << 70)])
def test_any_seed_is_a_seed(seed: int) -> None:
    assert 0 <= uniform(seed, 0) < 1
    assert uniform(seed, 0) != uniform(seed, 1)
