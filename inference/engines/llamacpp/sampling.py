"""The choice of the next token: llama.cpp's filters, then a draw that depends on seed and position
alone.

Because the draw has no state, an answer that was interrupted goes on with the same draws.
"""

from __future__ import annotations

import ctypes
import hashlib
import struct
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from inference.contract import Sampling

CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])
# How far back the penalties look, in tokens of the answer.
LOOKBACK = 256


class Sampler:
    """One sequence's way to choose. `accept` must see every token of the answer, resumed ones
    too."""

    def __init__(self, sampling: Sampling, vocab_size: int) -> None:
        self._sampling = sampling
        self._chain = _filters(sampling, vocab_size)
        self._ids = np.arange(vocab_size, dtype=np.int32)
        self._candidates = np.empty(vocab_size, dtype=CANDIDATE)

    def choose(self, logits: NDArray[np.float32], position: int) -> int:
        """The token at `position` of the answer; shape of logits (vocab_size,)."""
        if self._greedy():
            return int(np.argmax(logits))
        # By id, not by rank: where two candidates are nearly equal, a rounding error that swaps
        # their ranks must not move every boundary of the draw.
        kept = np.sort(self._filter(logits), order="id")
        if self._sampling.temperature <= 0:
            return int(kept["id"][np.argmax(kept["logit"])])
        shifted = kept["logit"].astype(np.float64)
        weights = np.exp(shifted - shifted.max())
        sums = np.cumsum(weights)
        at = np.searchsorted(sums, uniform(self._sampling.seed, position) * sums[-1], side="right")
        return int(kept["id"][min(int(at), len(kept) - 1)])

    def accept(self, token: int) -> None:
        llama_cpp.llama_sampler_accept(self._chain, token)

    def close(self) -> None:
        llama_cpp.llama_sampler_free(self._chain)

    def _greedy(self) -> bool:
        s = self._sampling
        return s.temperature <= 0 and not s.penalizes

    def _filter(self, logits: NDArray[np.float32]) -> NDArray[np.void]:
        """The candidates that the filters leave, logits divided by the temperature."""
        array = self._candidates
        array["id"], array["logit"], array["p"] = self._ids, logits, 0
        data = llama_cpp.llama_token_data_array(
            data=array.ctypes.data_as(llama_cpp.llama_token_data_p),
            size=len(array),
            selected=-1,
            sorted=False,
        )
        llama_cpp.llama_sampler_apply(self._chain, ctypes.byref(data))
        return array[: data.size]


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) that is random in both arguments and needs no generator's state."""
    # Any number may be a seed: one that is too big or negative must not end the engine.
    data = struct.pack("<QQ", seed % (1 << 64), position)
    digest = hashlib.blake2b(data, digest_size=8).digest()
    return float(int.from_bytes(digest, "little") >> 11) / float(1 << 53)


def _filters(sampling: Sampling, vocab_size: int) -> Any:
    """llama.cpp's sampler chain without its random part, in the order of its own server."""
    chain = llama_cpp.llama_sampler_chain_init(llama_cpp.llama_sampler_chain_default_params())
    if sampling.penalizes:
        penalties = llama_cpp.llama_sampler_init_penalties(
            vocab_size,
            LOOKBACK,
            sampling.repetition_penalty,
            sampling.frequency_penalty,
            sampling.presence_penalty,
        )
        llama_cpp.llama_sampler_chain_add(chain, penalties)
    if sampling.top_k > 0:
        llama_cpp.llama_sampler_chain_add(chain, llama_cpp.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        top_p = llama_cpp.llama_sampler_init_top_p(sampling.top_p, 1)
        llama_cpp.llama_sampler_chain_add(chain, top_p)
    if sampling.min_p > 0:
        min_p = llama_cpp.llama_sampler_init_min_p(sampling.min_p, 1)
        llama_cpp.llama_sampler_chain_add(chain, min_p)
    if sampling.temperature > 0:
        temperature = llama_cpp.llama_sampler_init_temp(sampling.temperature)
        llama_cpp.llama_sampler_chain_add(chain, temperature)
    return chain
