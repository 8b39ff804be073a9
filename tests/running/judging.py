"""What became of answers while something failed: every token once, in the log and on the page."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from tests.running.reader import Reader
from tests.running.talking import Logged

# How often each thing is made to fail.
ROUNDS = int(os.environ.get("CHATSITE_FAILURE_ROUNDS", "2"))


@dataclass(slots=True)
class Total:
    """What became of the answers of one kind of kill."""

    answers: int = 0
    lost: int = 0
    repeated: int = 0
    restarted: int = 0
    # Other tokens than the undisturbed run's, from a near tie on; and from no near tie on.
    tied: int = 0
    differing: int = 0
    gaps: list[float] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def judge(total: Total, reader: Reader, logged: Logged, seen: str, before: int) -> None:
    """Every token once: in the log, and on the page; what was there before the kill stays."""
    size = len(logged.tokens)
    shown = [at for piece in reader.pieces for at in range(piece.begin + 1, piece.end + 1)]
    for positions in (logged.positions, shown):
        total.lost += len(set(range(1, size + 1)) - set(positions))
        total.repeated += len(positions) - len(set(positions))
    again = logged.positions != list(range(1, size + 1)) or len(logged.requests) != 1
    if again or len(logged.ends) != 1 or size < before:
        total.restarted += 1
        total.remarks.append(f"the log at {before}: {logged.positions}, {len(logged.ends)} ends")
    if reader.changed or not reader.text.startswith(seen) or reader.text != logged.text:
        total.lost += 1
        total.remarks.append(f"the page at {before}: {reader.text!r} for {logged.text!r}")
