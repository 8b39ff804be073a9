"""How much a step computes: measured at the start and while it runs, so that those who write do not
stall and newcomers do not wait."""

from __future__ import annotations

import time

from inference.engines.llamacpp.model import LlamaModel, Rows

# How long prompts are read between two steps of those who write: as long as this many usual steps,
# or so many seconds that nobody sees it. Only after so many of the steps: a few tokens after each
# would cost a pass over the weights each, and whoever comes would always meet one.
PATIENCE, UNSEEN, SHARE = 1.2, 0.05, 0.45
# Seconds for which the writers wait, at most, while newcomers' short prompts are read; and those of
# a step in which nobody writes: more rows are not faster, and whoever comes waits for its end.
QUICK, LONGEST = 0.4, 0.1
# Prompt tokens of a step, at least: of three, none has to be read alone (see shares). And of a step
# in which nobody writes: fewer cost a pass over the weights each.
FEWEST, LEAST = 3, 16
# Prompt tokens of the first step.
WARM_UP = 32
# A first step that takes longer than this, in seconds, is not made four times for each number.
WARM = 1.0


def warm_up(model: LlamaModel, counts: list[int]) -> int:
    """A prompt and some tokens through every kernel: what crashes on this machine crashes here. The
    number of threads with which that was the fastest."""
    token = model.vocab.tokenize("a")[:1]
    at = min(WARM_UP, model.slice)
    took = _time(model, token * at, 0)
    least: dict[int, float] = {}
    for count in counts:
        model.threads = count
        for _ in range(4 if took < WARM else 1):
            took = _time(model, token, at)
            least[count] = min(least.get(count, took), took)
            at += 1
    model.forget(0)
    return min(counts, key=lambda count: least[count])


def _time(model: LlamaModel, tokens: list[int], at: int) -> float:
    rows = Rows()
    rows.add(tokens, at, 0, wanted=True)
    begun = time.perf_counter()
    model.decode(rows)
    return time.perf_counter() - begun


class Pace:
    """How many prompt tokens a step may take, so that those who write beside do not stall."""

    def __init__(self, slice: int) -> None:
        """`slice`: prompt tokens of a step, at most."""
        self._slice = slice
        # Seconds of a step without prompts, by the number of writers' bits; seconds per prompt
        # token.
        self._usual: dict[int, float] = {}
        self._row = 0.0
        # Steps with prompts that may be made now.
        self._due = 1.0

    def room(self, writers: int, readers: int) -> int:
        """Prompt tokens for the next step; more where more wait to be read than would wait to go
        on."""
        if not self._row:
            return max(self._slice // 8, FEWEST) if writers else self._slice
        self._due = min(self._due + SHARE, 1.0)
        if writers and readers:
            if self._due < 1.0:
                return 0
            self._due = 0.0
        usual = self.usual(writers) if writers else 0.0
        bearable = PATIENCE * usual * (1 + readers / writers) if writers else LONGEST
        least = FEWEST if writers else LEAST
        return min(max(int(max(bearable, UNSEEN) / self._row), least), self._slice)

    def reading(self, tokens: int) -> float:
        """Seconds that a prompt of so many tokens takes; no promise where none was read yet."""
        return tokens * self._row

    def usual(self, writers: int) -> float:
        """Seconds of a step in which nobody reads; 0 where none was seen yet."""
        kind = writers.bit_length()
        return next((self._usual[k] for k in (kind, kind + 1, kind - 1) if k in self._usual), 0.0)

    def wrote(self, writers: int, seconds: float) -> None:
        kind = writers.bit_length()
        before = self._usual.get(kind, seconds)
        self._usual[kind] = before + 0.1 * (min(seconds, 3 * before) - before)

    def read(self, tokens: int, seconds: float) -> None:
        self._row += (0.3 if self._row else 1.0) * (seconds / tokens - self._row)
