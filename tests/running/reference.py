"""Whether two answers part at a near tie: the logits of their common beginning, computed once more.

A near tie is one of: the two best logits within 0.05 (greedy), the draw within 0.001 of a boundary.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.contract import ModelSpec, Request
from inference.engines.base import Setup
from inference.engines.llamacpp.model import LlamaModel, Rows
from inference.engines.llamacpp.sampling import Sampler, uniform
from inference.hardware import Verdicts
from inference.intake import Intake

LOGITS = 0.05
DRAW = 0.001


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two answers part, and by how little."""

    position: int
    tokens: tuple[int | None, int | None]
    # Logits between the two tokens (greedy), or from the draw to the boundary between them.
    distance: float
    near: bool


class Reference:
    """The model in this process, loaded when two answers differ; usually that never happens."""

    def __init__(self, data: Path, *, shared_cells: int = 0) -> None:
        self._shared_cells = shared_cells
        self._verdicts = Verdicts(data / "engine" / "verdicts.json")
        self._model: LlamaModel | None = None

    def difference(self, request: Request, one: list[int], other: list[int]) -> Difference:
        """Both came from the request; `one` is the undisturbed answer."""
        at = next(
            (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
            min(len(one), len(other)),
        )
        tokens = tuple(answer[at] if at < len(answer) else None for answer in (one, other))
        distance = self.distance(request, one[:at], *tokens)
        limit = LOGITS if request.sampling.temperature <= 0 else DRAW
        return Difference(at, (tokens[0], tokens[1]), distance, distance <= limit)

    def distance(self, request: Request, answer: list[int], *tokens: int | None) -> float:
        """How far the farthest of these tokens is from being the next one; None ends the answer."""
        model = self._load(request.model)
        logits = self._logits(model, request, answer)
        if request.sampling.temperature <= 0:
            return greedy(model, logits, tokens)
        return drawn(model, request, logits, answer, tokens)

    def _load(self, spec: ModelSpec) -> LlamaModel:
        if self._model is None:
            fast = self._verdicts.about(spec).fast
            setup = Setup(fast=fast, shared_cells=self._shared_cells)
            self._model = LlamaModel(spec, setup, lambda _: None)
        return self._model

    def _logits(
        self, model: LlamaModel, request: Request, answer: list[int]
    ) -> NDArray[np.float32]:
        vocab = model.vocab
        source = model.template()
        intake = Intake(vocab, model.context_length, source, bos=vocab.bos(), eos=vocab.eos())
        prompt = intake.read(request).tokens
        model.forget(0)
        parts = list(slices(prompt, model.slice)) + [[token] for token in answer]
        at = 0
        for part in parts:
            rows = Rows()
            rows.add(part, at, 0, wanted=True)
            logits = model.decode(rows)
            at += len(part)
        last: NDArray[np.float32] = logits[-1].copy()
        return last


def slices(tokens: list[int], size: int) -> Iterator[list[int]]:
    """A prompt in pieces, the last of which is no single token."""
    while len(tokens) > size:
        end = size - (len(tokens) == size + 1)
        yield tokens[:end]
        tokens = tokens[end:]
    yield tokens


def greedy(model: LlamaModel, logits: NDArray[np.float32], tokens: tuple[int | None, ...]) -> float:
    """How far below the best the worse of the two tokens is."""
    best = float(logits.max())
    return max(best - value(model, logits, token) for token in tokens)


def value(model: LlamaModel, logits: NDArray[np.float32], token: int | None) -> float:
    """The logit of a token; None is the end of the answer, whatever token said it."""
    if token is not None:
        return float(logits[token])
    return float(logits[list(model.vocab.ends)].max())


def drawn(
    model: LlamaModel,
    request: Request,
    logits: NDArray[np.float32],
    answer: list[int],
    tokens: tuple[int | None, ...],
) -> float:
    """How far the draw is from the farther one of the two tokens' intervals."""
    sampler = Sampler(request.sampling, model.vocab)
    for token in answer:
        sampler.accept(token)
    ids, shares = sampler.candidates(logits)
    highs = np.cumsum(shares)
    lows = np.concatenate([[0.0], highs[:-1]])
    draw = uniform(request.sampling.seed, len(answer))

    def outside(index: int) -> float:
        return max(float(lows[index]) - draw, draw - float(highs[index]), 0.0)

    def distance(token: int | None) -> float:
        fits = [i for i, id in enumerate(ids) if is_same(model, int(id), token)]
        return min((outside(i) for i in fits), default=1.0)

    return max(distance(token) for token in tokens)


def is_same(model: LlamaModel, id: int, token: int | None) -> bool:
    return id in model.vocab.ends if token is None else id == token
