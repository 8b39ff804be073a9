"""Who sits in the batch: a slot for each running sequence, turns for the others, fairness between
users.

A slot is taken with as much as is known of the sequence's beginning, from the shelf or from another
sequence of the same user, and left with what was computed put on the shelf.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator

import numpy as np

from inference.engines.llamacpp.model import LlamaModel
from inference.engines.llamacpp.sequence import Sequence
from inference.engines.shelf import PUBLIC, WORTH, Shelf

# A beginning of this many tokens is worth waiting for while another sequence computes it.
LEAD = 128
# Seconds after which what a user was served counts half.
FORGET = 30.0


class Seats:
    """Slots 0..n of the model. Those that are taken stay together: a batch of slots that do not
    touch would be computed in pieces."""

    def __init__(self, model: LlamaModel, shelf: Shelf) -> None:
        self._model, self._shelf = model, shelf
        self._slots: list[Sequence | None] = [None] * model.slots
        self.queue: list[Sequence] = []
        # Tokens computed for each user, lately.
        self._served: Counter[str] = Counter()
        self._halved = time.monotonic()
        self.set_aside = self.reused = self.broken = 0

    def __iter__(self) -> Iterator[Sequence]:
        """Those that sit."""
        return (sequence for sequence in self._slots if sequence)

    def __len__(self) -> int:
        return sum(sequence is not None for sequence in self._slots)

    @property
    def cells_used(self) -> int:
        return sum(sequence.cached for sequence in self)

    def serve(self, user: str, tokens: int) -> None:
        self._served[user] += tokens

    def served(self, sequence: Sequence) -> int:
        return self._served[sequence.user]

    def leave(self, sequence: Sequence) -> None:
        """It is over: its slot is free, what was computed stays known."""
        if sequence.slot is None:
            self.queue.remove(sequence)
            return
        self._put_down(sequence)

    def arrange(self) -> list[Sequence]:
        """Give free slots to those who wait, and take some from users who have more than their
        share; those who were set aside."""
        aside: list[Sequence] = []
        while candidate := self._next():
            if None not in self._slots:
                victim = self._victim(candidate)
                if victim is None:
                    break
                aside.append(self._set_aside(victim))
            self._seat(candidate, self._slots.index(None))
        self._close_ranks()
        self._forget()
        return aside

    def relieve(self) -> Sequence | None:
        """The shared cells run out: the newest sequence of the user who was served most is set
        aside. None where only one sits."""
        if len(self) < 2:
            return None
        return self._set_aside(max(self, key=lambda s: (self.served(s), s.arrival)))

    def publish(self, sequence: Sequence) -> None:
        """It has computed exactly what an admin published: from now on everybody's is known."""
        assert sequence.slot is not None
        tokens = np.array(sequence.tokens[: sequence.cached], np.int32)
        self._shelf.put(PUBLIC, tokens, self._model.state(sequence.slot))

    def _next(self) -> Sequence | None:
        """Of those who wait: the user with the fewest seats, then the one who was served least,
        then the first who came."""
        if not self.queue:
            return None
        seats = Counter(sequence.user for sequence in self)
        ready = [s for s in self.queue if not self._led(s) and self._fits(s)]
        key = lambda s: (seats[s.user], self.served(s), s.arrival)  # noqa: E731
        return min(ready, key=key, default=None)

    def _victim(self, candidate: Sequence) -> Sequence | None:
        """Whoever has two seats more than the candidate's user gives up the newest of them."""
        seats = Counter(sequence.user for sequence in self)
        victim = max(self, key=lambda s: (seats[s.user], self.served(s), s.arrival))
        return victim if seats[victim.user] >= seats[candidate.user] + 2 else None

    def _fits(self, sequence: Sequence) -> bool:
        if not (self._model.shared_cells and len(self)):
            return True
        return self.cells_used + len(sequence.tokens) < self._model.cells

    def _led(self, sequence: Sequence) -> bool:
        """Whether somebody reads right now what this one would have to read, too."""
        return any(
            other.pending > 1 and self._common(other, sequence) >= max(other.cached + 1, LEAD)
            for other in self
            if other.user == sequence.user
        )

    @staticmethod
    def _common(one: Sequence, other: Sequence) -> int:
        size = min(len(one.tokens), len(other.tokens) - 1)
        differ = np.flatnonzero(
            np.array(one.tokens[:size], np.int32) != np.array(other.tokens[:size], np.int32)
        )
        return int(differ[0]) if len(differ) else size

    def _seat(self, sequence: Sequence, slot: int) -> None:
        self.queue.remove(sequence)
        self._slots[slot], sequence.slot = sequence, slot
        sequence.sit(self._recall(sequence, slot))
        if sequence.reused is None:
            sequence.reused = min(sequence.cached, len(sequence.prompt.tokens))
            self.reused += sequence.reused

    def _recall(self, sequence: Sequence, slot: int) -> int:
        """Fill a slot with the longest known beginning of a sequence; its length in tokens."""
        # The last token is always computed: its logits are wanted.
        wanted = np.array(sequence.tokens[:-1], np.int32)
        found = self._shelf.find(sequence.scope, wanted)
        size = self._usable(sequence, found[1]) if found else 0
        donor, shared = self._donor(sequence)
        if donor and shared > size:
            assert donor.slot is not None
            return self._fill(slot, self._model.state(donor.slot), donor.cached, shared)
        if not found:
            return 0
        kept, _ = found
        state = self._shelf.load(kept)
        if state is None:
            return 0
        # A conversation that was told otherwise than it was computed costs time: it is counted.
        told = kept.scope != PUBLIC and size < len(kept.tokens) < len(wanted)
        self.broken += told and 2 * size > len(kept.tokens)
        return self._fill(slot, state, len(kept.tokens), size)

    def _usable(self, sequence: Sequence, known: int) -> int:
        return sequence.usable(known) if self._model.cuttable else known

    def _donor(self, sequence: Sequence) -> tuple[Sequence | None, int]:
        """Who sits and shares the most with this one, of the same user."""
        best: tuple[Sequence | None, int] = (None, WORTH - 1)
        for other in self:
            if other.user == sequence.user and other is not sequence and other.cached > best[1]:
                shared = min(self._common(other, sequence), other.cached)
                shared = self._usable(sequence, shared)
                if shared > best[1] and (self._model.cuttable or shared == other.cached):
                    best = other, shared
        return best

    def _fill(self, slot: int, state: bytes, size: int, keep: int) -> int:
        """A state of `size` tokens into a slot, of which `keep` are wanted."""
        if self._model.restore(slot, state) and (keep == size or self._model.cut(slot, keep)):
            return keep
        self._model.forget(slot)
        return 0

    def _put_down(self, sequence: Sequence) -> None:
        """What a sequence has computed goes to the shelf, its slot is free."""
        assert sequence.slot is not None
        if sequence.cached >= WORTH:
            tokens = np.array(sequence.tokens[: sequence.cached], np.int32)
            self._shelf.put(sequence.scope, tokens, self._model.state(sequence.slot))
        self._model.forget(sequence.slot)
        self._slots[sequence.slot] = None
        sequence.slot, sequence.cached = None, 0

    def _set_aside(self, sequence: Sequence) -> Sequence:
        self._put_down(sequence)
        self.queue.append(sequence)
        self.set_aside += 1
        return sequence

    def _close_ranks(self) -> None:
        """Move the last ones into the gaps."""
        while not self._model.shared_cells and None in self._slots[: len(self)]:
            gap = self._slots.index(None)
            last = max(self, key=lambda s: s.slot or 0)
            assert last.slot is not None
            if last.cached and not self._model.restore(gap, self._model.state(last.slot)):
                raise RuntimeError("llama.cpp does not take a state back.")
            self._model.forget(last.slot)
            self._slots[last.slot], self._slots[gap] = None, last
            last.slot = gap

    def _forget(self) -> None:
        now = time.monotonic()
        if now - self._halved > FORGET:
            self._halved = now
            self._served = Counter({u: n // 2 for u, n in self._served.items() if n > 1})
