"""A request's sampling in vLLM's words, also of an answer that another process began. Imports
nothing of vLLM."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from inference.contract import Sampling
from inference.engines.vllm.vocabulary import Vocabulary

# What vLLM takes.
HOTTEST, LOUDEST = 2.0, 2.0
# A bias that nothing outweighs.
STRONGEST = 100.0
# Of `extras`, what processor.py does.
HABITS = frozenset({"counts", "typical_p"})


def words(
    sampling: Sampling, vocab: Vocabulary, emitted: Sequence[int], grammar: str = ""
) -> dict[str, Any]:
    """The fields of vLLM's SamplingParams. `emitted` are the answer's tokens so far: they stand
    behind the prompt, so that vLLM does not know them as an answer's."""
    done = len(emitted)
    ends = [] if sampling.ignore_eos and not grammar else sorted(vocab.ends)
    stops = [token for token in sampling.stop_token_ids if 0 <= token < vocab.size]
    most = sampling.max_tokens
    found: dict[str, Any] = {
        **_draw(sampling, done),
        **(_penalties(sampling) if not done else {}),
        "logit_bias": _biases(sampling, vocab, endless=not ends) or None,
        "stop_token_ids": list(dict.fromkeys([*ends, *stops])),
        "max_tokens": None if most is None else max(1, most - done),
        "logprobs": sampling.logprobs,
        # Both are ours: see inference.parse.writer.
        "detokenize": False,
        "skip_special_tokens": False,
    }
    if not grammar:
        # The end of a form is decided by the form.
        least = max(0, sampling.min_tokens - done)
        found["min_tokens"] = least if most is None else min(least, found["max_tokens"])
        found["ignore_eos"] = sampling.ignore_eos
    return found


def extras(sampling: Sampling, emitted: Sequence[int], grammar: str) -> dict[str, Any]:
    """What our own parts inside vLLM have to know of a request."""
    found: dict[str, Any] = {}
    if emitted and grammar:
        found["emitted"] = list(emitted)
    if emitted and sampling.penalizes:
        # They are ours then: vLLM knows nothing of what was emitted.
        found["counts"] = [list(pair) for pair in Counter(emitted).items()]
        found |= {name.removesuffix("_penalty"): v for name, v in _penalties(sampling).items()}
    if sampling.temperature > 0 and sampling.typical_p < 1:
        found["typical_p"] = sampling.typical_p
    return found


def _penalties(sampling: Sampling) -> dict[str, float]:
    return {
        "repetition_penalty": sampling.repetition_penalty,
        "presence_penalty": _within(sampling.presence_penalty, LOUDEST),
        "frequency_penalty": _within(sampling.frequency_penalty, LOUDEST),
    }


def _draw(sampling: Sampling, done: int) -> dict[str, Any]:
    # Below a hundredth the logits would overflow.
    heat = min(max(sampling.temperature, 0.0), HOTTEST)
    return {
        "temperature": 0.0 if heat < 0.01 else heat,
        "top_p": min(max(sampling.top_p, 1e-6), 1.0),
        "top_k": max(sampling.top_k, 0),
        "min_p": min(max(sampling.min_p, 0.0), 1.0),
        "seed": seed(sampling.seed, done),
    }


def seed(number: int, done: int) -> int:
    """The seed of an answer's draws. What goes on behind `done` tokens gets another: with the first
    one again, it would draw what was drawn at its beginning."""
    if not done:
        return number % (1 << 63)
    digest = hashlib.blake2b(f"{number} {done}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _biases(sampling: Sampling, vocab: Vocabulary, *, endless: bool) -> dict[int, float]:
    inside = {t: b for t, b in sampling.logit_bias.items() if 0 <= t < vocab.size}
    biases = {token: _within(bias, STRONGEST) for token, bias in inside.items()}
    # vLLM would go on behind an end, as in another turn.
    return biases | (dict.fromkeys(vocab.ends, -STRONGEST) if endless else {})


def _within(value: float, most: float) -> float:
    return min(max(value, -most), most)
