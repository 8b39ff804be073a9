"""A request in vLLM's words, without vLLM: what is said, what is left to our own part, and what a
resumed answer still has to keep."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from inference.contract import Sampling
from inference.engines.vllm.sampling import HABITS, extras, seed, words

PLAIN = Sampling(temperature=0.7, max_tokens=10, seed=5)


class Words:
    """A vocabulary of 100 tokens, of which 2 and 3 end."""

    size = 100
    ends = frozenset({2, 3})


def say(sampling: Sampling, emitted: tuple[int, ...] = (), grammar: str = "") -> dict[str, Any]:
    vocab: Any = Words()
    return words(sampling, vocab, emitted, grammar)


def test_it_works() -> None:
    told = say(PLAIN)
    assert (told["temperature"], told["top_p"], told["top_k"], told["min_p"]) == (
        0.7,
        0.95,
        40,
        0.05,
    )
    assert (told["seed"], told["max_tokens"], told["stop_token_ids"]) == (5, 10, [2, 3])
    assert told["detokenize"] is False
    assert extras(PLAIN, (), "") == {}


def test_what_vllm_refuses_is_brought_into_its_bounds() -> None:
    odd = Sampling(
        temperature=-1, top_p=0, top_k=-5, min_p=9, presence_penalty=7, frequency_penalty=-7,
        logit_bias={1: 1e9, 2: -1e9, 100: 1, -1: 1}, stop_token_ids=(7, 7, 100, -1),
        seed=-3,
    )  # fmt: skip
    told = say(odd)
    assert (told["temperature"], told["top_k"], told["min_p"]) == (0, 0, 1)
    assert 0 < told["top_p"] < 1e-5
    assert (told["presence_penalty"], told["frequency_penalty"]) == (2, -2)
    assert told["logit_bias"] == {1: 100, 2: -100}
    assert told["stop_token_ids"] == [2, 3, 7]
    assert 0 <= told["seed"] < 1 << 63


def test_an_endless_answer_never_draws_an_end() -> None:
    told = say(replace(PLAIN, ignore_eos=True, stop_token_ids=(7,)))
    assert (told["stop_token_ids"], told["ignore_eos"]) == ([7], True)
    assert told["logit_bias"] == {2: -100, 3: -100}


def test_what_was_emitted_counts() -> None:
    bounded = replace(PLAIN, max_tokens=10, min_tokens=8)
    told = say(bounded, (5, 6, 5))
    assert (told["max_tokens"], told["min_tokens"]) == (7, 5)
    assert say(bounded, (5,) * 9)["min_tokens"] == 0
    assert say(replace(bounded, max_tokens=None), (5,))["max_tokens"] is None


def test_a_form_decides_its_end() -> None:
    told = say(replace(PLAIN, min_tokens=8, ignore_eos=True), grammar="root ::= x")
    assert "min_tokens" not in told
    assert "ignore_eos" not in told
    assert told["stop_token_ids"] == [2, 3]
    assert extras(PLAIN, (5, 6), "root ::= x") == {"emitted": [5, 6]}


def test_penalties_of_what_goes_on_are_ours() -> None:
    penal = replace(PLAIN, presence_penalty=0.5, frequency_penalty=0.25, repetition_penalty=1.5)
    assert say(penal)["presence_penalty"] == 0.5
    assert extras(penal, (), "") == {}
    told, more = say(penal, (5, 6, 5)), extras(penal, (5, 6, 5), "")
    assert not any(name.endswith("_penalty") for name in told)
    assert Counter(dict(more["counts"])) == Counter({5: 2, 6: 1})
    assert (more["presence"], more["frequency"], more["repetition"]) == (0.5, 0.25, 1.5)
    assert more.keys() & HABITS


def test_typical_sampling_is_ours() -> None:
    assert extras(replace(PLAIN, typical_p=0.4), (), "") == {"typical_p": 0.4}
    assert extras(replace(PLAIN, typical_p=0.4, temperature=0), (), "") == {}


@pytest.mark.parametrize("number", [0, 5, -5, 1 << 80])
def test_what_goes_on_draws_otherwise(number: int) -> None:
    seeds = [seed(number, done) for done in (0, 1, 2, 50)]
    assert len(set(seeds)) == 4
    assert all(0 <= each < 1 << 63 for each in seeds)
    assert seeds == [seed(number, done) for done in (0, 1, 2, 50)]
