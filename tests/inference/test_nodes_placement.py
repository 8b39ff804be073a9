"""Who takes what waits for a model, and why nobody does: the rule, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inference import placement
from inference.board import EngineState, Seen, WorkerState
from inference.placement import AWHILE, LOAD_S, STEP, Ask, Reason

GIB = 1 << 30
ASK = Ask("m", "llamacpp", "tiny-abab", "a", waiting=1)
ONE = WorkerState(
    "one", "h", 1, "", 4, 8 * GIB, 4 * GIB, ("llamacpp",), ("tiny-abab",), sizes={"tiny-abab": GIB}
)
TWO = replace(ONE, name="two")
BARE = replace(ONE, name="bare", folders=())
LIGHT = replace(ONE, name="light", engines=("echo",))
SMALL = replace(ONE, name="small", memory_free=GIB)
LOADED = EngineState("one", "m", "ready", running=1, slots=4)
FULL = replace(LOADED, running=4)


@pytest.mark.parametrize(
    ("me", "ask", "workers", "engines", "expected"),
    [
        # Alone: at once.
        ("one", ASK, [ONE], [], 0.0),
        # Two that are alike: one after the other.
        ("one", ASK, [ONE, TWO], [], 0.0),
        ("two", ASK, [ONE, TWO], [], STEP),
        # The other one has something else to do, or is faster, or has more memory.
        ("two", ASK, [ONE, TWO], [replace(FULL, model="other")], 0.0),
        ("two", ASK, [ONE, replace(TWO, measured={"m": 20.0})], [], 0.0),
        ("two", ASK, [ONE, replace(TWO, memory_free=5 * GIB)], [], 0.0),
        ("two", ASK, [ONE, replace(TWO, machine={"graphics_free": 24 * GIB})], [], 0.0),
        # It does not fit beside what is there.
        ("small", ASK, [SMALL, replace(TWO, measured={}, memory_free=2 * GIB)], [], STEP),
        # Loaded elsewhere with a free slot; loading; full.
        ("two", ASK, [ONE, TWO], [LOADED], AWHILE),
        ("two", ASK, [ONE, TWO], [replace(LOADED, state="loading", slots=0)], LOAD_S),
        ("two", ASK, [ONE, TWO], [FULL], LOAD_S),
        ("two", replace(ASK, load_s=2.0), [ONE, TWO], [FULL], 2.0),
        # The line is longer than a load takes: it helps.
        ("two", replace(ASK, waiting=8, answer_s=6.0), [ONE, TWO], [FULL], 0.0),
        ("two", replace(ASK, waiting=8, answer_s=6.0, load_s=30.0), [ONE, TWO], [FULL], 30.0),
        # One that has it loaded and rests does not count.
        ("two", ASK, [replace(ONE, duty="draining"), TWO], [LOADED], 0.0),
        # Files, engine or memory lie with others.
        ("bare", ASK, [BARE, ONE], [], None),
        ("light", ASK, [LIGHT, ONE], [], None),
        ("two", ASK, [ONE, replace(TWO, lacks=("m",))], [], None),
        ("bare", ASK, [BARE, replace(ONE, duty="drained")], [], None),
        # Nobody could ever do it: somebody has to say so.
        ("bare", ASK, [BARE, LIGHT], [], 0.0),
        # An admin has chosen.
        ("two", replace(ASK, chosen=frozenset({"two"})), [ONE, TWO], [LOADED], 0.0),
        ("one", replace(ASK, chosen=frozenset({"two"})), [ONE, TWO], [], None),
        ("one", replace(ASK, chosen=frozenset({"gone"})), [ONE, TWO], [], None),
    ],
)
def test_it_works(
    me: str,
    ask: Ask,
    workers: list[WorkerState],
    engines: list[EngineState],
    expected: float | None,
) -> None:
    assert placement.delay(me, ask, workers, [], engines) == expected


def test_files_that_lie_with_one_that_is_away_are_waited_for() -> None:
    assert placement.delay("bare", ASK, [BARE], [ONE], []) is None


def seen(state: WorkerState, *, lives: bool = True, at: float = 100.0) -> Seen:
    return Seen(state, at, 1.0, lives)


@pytest.mark.parametrize(
    ("roster", "expected"),
    [
        ([seen(ONE)], None),
        ([seen(BARE), seen(ONE, lives=False)], Reason("machine_gone", "one")),
        ([seen(ONE, lives=False), seen(TWO, lives=False, at=200.0)], Reason("machine_gone", "two")),
        ([seen(replace(ONE, duty="draining"))], Reason("draining", "one")),
        ([seen(replace(ONE, duty="drained")), seen(TWO)], None),
        ([seen(replace(ONE, duty="refused"))], Reason("refused", "one")),
        ([seen(replace(ONE, duty="off"), lives=False)], Reason("machine_gone", "one")),
        ([], Reason("no_worker")),
        ([seen(LIGHT)], Reason("no_worker")),
    ],
)
def test_why_nobody_takes_it(roster: list[Seen], expected: Reason | None) -> None:
    assert placement.why(ASK, roster) == expected
