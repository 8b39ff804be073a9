"""What one step computes: of whom, how much, and in which passes over the weights."""

from __future__ import annotations

from collections.abc import Iterable

from inference.engines.llamacpp.model import SLICE, LlamaModel
from inference.engines.llamacpp.pace import QUICK, Pace
from inference.engines.llamacpp.seats import Seats
from inference.engines.llamacpp.sequence import Sequence
from inference.engines.shelf import WORTH

# What a pass of its own has to save, in passes.
GAIN = 2


class Shares:
    """Divides the steps among those who sit."""

    def __init__(self, model: LlamaModel, seats: Seats, pace: Pace) -> None:
        self._model, self._seats, self._pace = model, seats, pace
        # Seconds for which the others have given way.
        self._yielded = 0.0
        # Prompt tokens that are read in the step after one of those who write.
        self._owed = 0

    def next(self) -> dict[Sequence, int]:
        """How many tokens of each sequence are computed in this step: one of those who write, and
        then as much of the prompts as the writers bear, of whoever was served least first."""
        writers = {sequence: 1 for sequence in self._seats if sequence.writes}
        readers = [sequence for sequence in self._seats if not sequence.writes]
        readers.sort(key=lambda s: (self._seats.served(s), s.arrival))
        if newcomer := self._newcomer(readers, {sequence.user for sequence in writers}):
            return self._divide([newcomer], self._model.slice)
        owed, self._owed = self._owed, 0
        if owed:
            return self._divide(readers, owed) or writers
        room = self._pace.room(len(writers), len(readers))
        if not writers or self._model.shared_cells:
            return writers | self._divide(readers, room)
        # Two passes over the weights are two steps: whoever comes between waits for one of them.
        self._owed = room if readers else 0
        return writers

    @staticmethod
    def _divide(readers: list[Sequence], room: int) -> dict[Sequence, int]:
        """So many tokens of the prompts, in this order."""
        shares: dict[Sequence, int] = {}
        for sequence in readers:
            left = sequence.unread
            published = sequence.prompt.published - sequence.cached
            # What everybody may share is kept without a token of what follows.
            worth = sequence.prompt.published >= WORTH and left - published != 1
            if published > 1 and worth:
                left = published
            if share := _slice(left, room, shares.values()):
                shares[sequence] = share
                room -= share
        return shares

    def _newcomer(self, readers: list[Sequence], writing: set[str]) -> Sequence | None:
        """Somebody's only request, quickly read: it gets a step of its own. Cut in pieces it would
        wait for the others again and again; they wait for several of them, but not for long."""
        for sequence in readers:
            seconds = self._pace.reading(sequence.burden)
            quick = self._yielded + seconds < QUICK and sequence.unread <= SLICE
            if sequence.user not in writing and quick and seconds:
                now = min(sequence.unread, self._model.slice)
                self._yielded += self._pace.reading(now) if writing or len(readers) > 1 else 0.0
                return sequence
        self._yielded = 0.0
        return None

    def passes(self, shares: dict[Sequence, int]) -> list[list[Sequence]]:
        """Those of one pass pay for the longest of them, each with its attention, so that long
        conversations have one of their own where that costs less. In the order of their slots:
        llama.cpp computes neighbours together."""
        sitting = [sequence for sequence in self._seats if sequence in shares]
        if self._model.shared_cells:
            return [sitting]
        writers = [sequence for sequence in sitting if shares[sequence] == 1]
        readers = [sequence for sequence in sitting if shares[sequence] > 1]
        short = self._short(writers)
        long = [sequence for sequence in writers if sequence not in short]
        groups = [[s for s in writers if s in short], long, readers]
        return [group for group in groups if group]

    def _short(self, writers: list[Sequence]) -> set[Sequence]:
        """Those who are better off without the others."""
        order = sorted(writers, key=lambda s: s.cached)
        savings = [(n * (order[-1].cached - order[n - 1].cached), n) for n in range(1, len(order))]
        saved, number = max(savings, default=(0, 0))
        return set(order[:number] if saved > GAIN * self._model.reach else order)


def _slice(left: int, room: int, others: Iterable[int]) -> int:
    """How much of the tokens that are left is read beside the others' slices. llama.cpp computes as
    many of each sequence together as the shortest has, then of the rest: nowhere a single row."""
    share = min(left, room)
    while share > 1 and (left - share == 1 or any(abs(share - each) == 1 for each in others)):
        share -= 1
    return share if share > 1 else 0
