"""What the scheduler costs: the engine's throughput while it decodes, by that of a bare loop in the
same process with the same settings.

Both go on in short turns, since a shared machine's speed changes within seconds, and half of the
rounds are made with the other one's memory allocated first: two bare loops side by side differ by
up to 4 %.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from inference.contract import Sampling
from tests.benchmarks.bare_loop import BareLoop
from tests.benchmarks.driven_engine import GREEDY, SEEDED, DrivenEngine
from tests.benchmarks.measuring import Figure, Plan, compared, question

SLOTS, CONTEXT = 32, 1280
# Steps per round, by the number of sequences, and steps per turn: a fifth of a second or so.
STEPS = {1: 192, 8: 96, 32: 48}
TURN = {1: 8, 8: 4, 32: 2}
GOALS = {"greedy": (GREEDY, 0.95), "seeded": (SEEDED, 0.90)}
# Tokens per second of the engine and of the bare loop.
Rates = tuple[float, float]


def measure(plan: Plan) -> Iterator[Figure]:
    found: dict[tuple[int, str], list[Rates]] = defaultdict(list)
    for engine_first in (True, False):
        engine, bare = sides(plan, engine_first)
        for count in STEPS:
            for name, (sampling, _) in GOALS.items():
                found[count, name] += rounds(plan, engine, bare, count, sampling)
        engine.engine.close()
        bare.close()
    for (count, name), rates in found.items():
        ours, theirs = zip(*rates, strict=True)
        yield compared(
            f"engine by bare loop, {name}, {count} at once", ours, theirs, GOALS[name][1]
        )


def sides(plan: Plan, engine_first: bool) -> tuple[DrivenEngine, BareLoop]:
    settings = {"slots": SLOTS, "context_length": CONTEXT, "threads": plan.threads}
    if engine_first:
        return DrivenEngine(**settings), BareLoop(**settings)
    bare = BareLoop(**settings)
    return DrivenEngine(**settings), bare


def rounds(
    plan: Plan, engine: DrivenEngine, bare: BareLoop, count: int, sampling: Sampling
) -> list[Rates]:
    """Both go on with the same sequences from round to round: equally far at each, since every
    token before makes a step longer."""
    turn = TURN[count]
    turns = plan.size(STEPS[count]) // turn
    engine.begin([question() for _ in range(count)], sampling)
    bare.go_on(engine.computed())
    measured = []
    for _ in range(plan.rounds // 2 + 1):
        seconds = [0.0, 0.0]
        for number in range(turns):
            # A B B A: whatever the first of a pair has of it, both have.
            for side in (0, 1) if number % 2 else (1, 0):
                rate = (engine, bare)[side].decode(turn)
                seconds[side] += count * turn / rate
        made = count * turn * turns
        measured.append((made / seconds[0], made / seconds[1]))
    engine.end()
    return measured
