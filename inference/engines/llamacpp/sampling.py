"""The choice of the next token: edits and filters over the logits, then a draw that depends on seed
and position alone.

Because the draw has no state, an answer that was interrupted goes on with the same draws. The order
of the filters is that of llama.cpp's own server: top-k, typical, top-p, min-p, temperature.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from inference.contract import Logprob, Sampling
from inference.engines.llamacpp.grammar import Grammar
from inference.engines.vocabulary import Vocabulary

Logits = NDArray[np.float32]
Ids = NDArray[np.int32]
# What is this much less likely (natural logarithm) than the likeliest is never drawn.
NEGLIGIBLE = 30.0
# Beyond this distance hardly any of the k likeliest lies; where some do, all are looked at.
NEAR = 12.0
# Candidates that a grammar is asked about first.
LIKELY = 1024
NONE: Ids = np.empty(0, np.int32)


class Sampler:
    """One sequence's way to choose. `accept` must see every token of the answer, resumed ones
    too."""

    def __init__(
        self,
        sampling: Sampling,
        vocab: Vocabulary,
        prompt: Sequence[int] = (),
        grammar: Grammar | None = None,
    ) -> None:
        self._sampling = sampling
        self._vocab = vocab
        self._grammar = grammar
        self._counts: Counter[int] = Counter()
        # The repetition penalty looks at the prompt as well.
        self._prompt = _ids(set(prompt)) if sampling.repetition_penalty != 1 else NONE
        bias = {t: b for t, b in sampling.logit_bias.items() if 0 <= t < vocab.size}
        self._bias = _ids(bias), np.fromiter(bias.values(), np.float32, len(bias))
        self._ends = _ids(vocab.ends)
        self._stops = _ids(t for t in sampling.stop_token_ids if 0 <= t < vocab.size)

    def choose(self, logits: Logits, position: int, *, free: bool = False) -> int:
        """The token at `position` of the answer; shape of logits (vocab_size,). `free`: no grammar
        binds it. They are edited in place and put back: to copy a row costs more than all edits."""
        touched = self._touched(position)
        before = logits[touched]
        self._edit(logits, position)
        token = self._draw(logits, position)
        if not self._grammar or free or self._grammar.allows(token):
            logits[touched] = before
            return token
        allowed = self._allowed(self._grammar, logits)
        left = logits[allowed]
        logits[touched] = before
        # Where nothing but the end is left, it may have been forbidden for another reason.
        if not np.isfinite(left.max(initial=-np.inf)):
            left = logits[allowed]
        row = np.full_like(logits, -np.inf)
        row[allowed] = left
        return self._draw(row, position)

    def accept(self, token: int, *, free: bool = False) -> None:
        if self._sampling.penalizes:
            self._counts[token] += 1
        if self._grammar and not free:
            self._grammar.accept(token)

    def close(self) -> None:
        if self._grammar:
            self._grammar.close()

    def logprob(self, logits: Logits, token: int) -> Logprob:
        """The token's log probability as the model gave it, and the likeliest ones beside it."""
        count = self._sampling.logprobs or 0
        total = _log_sum(logits)

        def told(id: int, top: tuple[Logprob, ...] = ()) -> Logprob:
            data = tuple(self._vocab.text_bytes(id))
            return Logprob(id, data, round(float(logits[id]) - total, 6), top)

        best = _largest(logits, count) if count else np.empty(0, np.int64)
        ranked = best[np.argsort(-logits[best], kind="stable")]
        return told(token, tuple(told(int(id)) for id in ranked))

    def _allowed(self, grammar: Grammar, row: Logits) -> NDArray[np.int64]:
        """What the grammar allows. The likeliest are asked first, where as many of them are enough
        as the filters leave: to ask all is fifty times more work."""
        near = _largest(row, LIKELY)
        found = near[grammar.mask(near.astype(np.int32))]
        enough = 1 if self._sampling.temperature <= 0 else self._sampling.top_k or len(row)
        if len(found) >= enough:
            return found
        return np.flatnonzero(grammar.mask(np.arange(len(row), dtype=np.int32)))

    def _touched(self, position: int) -> Ids:
        """The tokens whose logits are edited there."""
        s = self._sampling
        early = position < s.min_tokens
        parts = [self._bias[0]] if len(self._bias[0]) else []
        parts += [self._prompt, _ids(self._counts)] if s.penalizes else []
        parts += [self._ends] if early or s.ignore_eos else []
        parts += [self._stops] if early else []
        return parts[0] if len(parts) == 1 else np.concatenate([NONE, *parts])

    def _edit(self, row: Logits, position: int) -> None:
        """Penalties, biases and ends that are forbidden."""
        s = self._sampling
        if s.penalizes:
            self._penalize(row)
        ids, bias = self._bias
        if len(ids):
            row[ids] += bias
        early = position < s.min_tokens
        if early or s.ignore_eos:
            row[self._ends] = -np.inf
        if early:
            row[self._stops] = -np.inf

    def _penalize(self, row: Logits) -> None:
        s = self._sampling
        ids = _ids(self._counts)
        if s.repetition_penalty != 1:
            # What is in both is set to the same twice.
            seen = np.concatenate([self._prompt, ids])
            values = row[seen]
            factor = np.float32(s.repetition_penalty)
            row[seen] = np.where(values > 0, values / factor, values * factor)
        counts = np.fromiter(self._counts.values(), np.float32, len(ids))
        row[ids] -= counts * np.float32(s.frequency_penalty) + np.float32(s.presence_penalty)

    def _draw(self, row: Logits, position: int) -> int:
        if self._sampling.temperature <= 0:
            return int(row.argmax())
        ids, shares = self.candidates(row)
        draw = uniform(self._sampling.seed, position)
        at = int(np.searchsorted(np.cumsum(shares), draw, side="right"))
        return int(ids[min(at, len(ids) - 1)])

    def candidates(self, row: Logits) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The tokens that may be drawn, and their shares."""
        ids, kept = self._filter(row)
        # By id, not by rank: where two candidates are nearly equal, a rounding error that swaps
        # their ranks must not move every boundary of the draw.
        order = np.argsort(ids)
        return ids[order], _softmax(kept[order] / self._sampling.temperature)

    def _filter(self, row: Logits) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The candidates that the filters leave, and their logits."""
        s = self._sampling
        ids = _largest(row, s.top_k) if s.top_k > 0 else _near(row, NEGLIGIBLE)
        kept = row[ids].astype(np.float64)
        if s.typical_p < 1:
            keep = _typical(kept, s.typical_p)
            ids, kept = ids[keep], kept[keep]
        if s.top_p < 1:
            keep = _nucleus(kept, s.top_p)
            ids, kept = ids[keep], kept[keep]
        if s.min_p > 0:
            keep = np.flatnonzero(kept >= kept.max() + np.log(s.min_p))
            ids, kept = ids[keep], kept[keep]
        return ids, kept


def uniform(seed: int, position: int) -> float:
    """A number in [0, 1) that is random in both arguments and needs no generator's state."""
    # Any number may be a seed: one that is too big or negative must not end the engine.
    data = struct.pack("<QQ", seed % (1 << 64), position)
    digest = hashlib.blake2b(data, digest_size=8).digest()
    return float(int.from_bytes(digest, "little") >> 11) / float(1 << 53)


def _ids(tokens: Iterable[int]) -> Ids:
    return np.fromiter(tokens, np.int32)


def _near(row: Logits, distance: float) -> NDArray[np.int64]:
    return np.flatnonzero(row > row.max() - distance)


def _largest(row: Logits, count: int) -> NDArray[np.int64]:
    """Where the `count` largest are. Two passes over the row are four times faster than a
    partition of it."""
    near = _near(row, NEAR)
    if len(near) == count:
        return near
    if len(near) < count:
        near = np.flatnonzero(row > -np.inf)
    if len(near) <= count:
        return near
    return near[np.argpartition(row[near], -count)[-count:]]


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(logits - logits.max())
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def _nucleus(logits: NDArray[np.float64], mass: float) -> NDArray[np.int64]:
    """The likeliest that together have `mass`, the one that crosses it included."""
    share = _softmax(logits)
    order = np.argsort(-share, kind="stable")
    return order[: int(np.searchsorted(np.cumsum(share[order]), mass)) + 1]


def _typical(logits: NDArray[np.float64], mass: float) -> NDArray[np.int64]:
    """Those whose surprise is closest to the expected one, until they have `mass`."""
    share = _softmax(logits)
    surprise = -np.log(np.maximum(share, 1e-300))
    order = np.argsort(np.abs(surprise - float((share * surprise).sum())), kind="stable")
    return order[: int(np.searchsorted(np.cumsum(share[order]), mass)) + 1]


def _log_sum(logits: Logits) -> float:
    """The logarithm of the sum of exponentials, in double precision."""
    best = float(logits.max())
    return best + float(np.log(np.exp(logits.astype(np.float64) - best).sum()))
