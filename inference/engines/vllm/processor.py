"""Our part inside vLLM's sampling: penalties of an answer that another process began, and typical
sampling, which vLLM has not. Runs in the process of vLLM's core."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import torch
from vllm.v1.sample.logits_processor.interface import (
    BatchUpdate,
    LogitsProcessor,
    MoveDirectionality,
)

from inference.engines.vllm.sampling import HABITS


@dataclass(slots=True)
class Habit:
    """What is added to the sampling of one answer."""

    # The prompt's tokens; how often those of the answer came before; and vLLM's own list of those
    # that came since, which grows.
    prompt: frozenset[int] = frozenset()
    before: Counter[int] = field(default_factory=Counter)
    since: list[int] = field(default_factory=list)
    repetition: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0
    typical: float = 1.0

    def change(self, logits: Any) -> None:
        """In place; one row of the batch. In vLLM's order."""
        counts = self.before + Counter(token for token in self.since if token >= 0)
        if self.repetition != 1:
            seen = torch.tensor(sorted(self.prompt | counts.keys()), device=logits.device)
            values, factor = logits[seen], self.repetition
            logits[seen] = torch.where(values > 0, values / factor, values * factor)
        if self.presence or self.frequency:
            tokens = torch.tensor(list(counts), device=logits.device)
            often = torch.tensor(list(counts.values()), device=logits.device, dtype=logits.dtype)
            logits[tokens] -= self.frequency * often + self.presence
        if self.typical < 1:
            keep_typical(logits, self.typical)


class Habits(LogitsProcessor):
    """The habits of those in the batch that have any, by their rows."""

    def __init__(self, vllm_config: Any, device: Any, is_pin_memory: bool) -> None:
        self._rows: dict[int, Habit] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        if batch_update is None:
            return
        for row in batch_update.removed:
            self._rows.pop(row, None)
        for row, params, prompt, output in batch_update.added:
            self._put(row, habit(params.extra_args or {}, prompt or [], output))
        for one, other, how in batch_update.moved:
            moved, replaced = self._rows.pop(one, None), self._rows.pop(other, None)
            self._put(other, moved)
            if how == MoveDirectionality.SWAP:
                self._put(one, replaced)

    def apply(self, logits: Any) -> Any:
        for row, found in self._rows.items():
            found.change(logits[row])
        return logits

    def _put(self, row: int, found: Habit | None) -> None:
        self._rows.pop(row, None)
        if found:
            self._rows[row] = found


def habit(extras: dict[str, Any], prompt: list[int], output: list[int]) -> Habit | None:
    """As `sampling.extras` wrote it down; None where there is nothing to add."""
    if not extras.keys() & HABITS:
        return None
    return Habit(
        frozenset(prompt),
        Counter(dict(extras.get("counts", ()))),
        output,
        extras.get("repetition", 1.0),
        extras.get("presence", 0.0),
        extras.get("frequency", 0.0),
        extras.get("typical_p", 1.0),
    )


def keep_typical(logits: Any, mass: float) -> None:
    """Keep the tokens whose surprise is nearest to what is expected, up to so much probability."""
    logs = torch.log_softmax(logits.float(), dim=-1)
    expected = -(logs.exp() * logs).nan_to_num(0).sum()
    order = torch.argsort((-logs - expected).abs())
    reached = logs.exp()[order].cumsum(0)
    kept = int((reached < mass).sum()) + 1
    logits[order[kept:]] = float("-inf")
