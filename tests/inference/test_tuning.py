"""The number of threads follows the machine's load, and prompts take no more of a step than the
writers bear."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inference.engines.llamacpp.model import LEAST_SLICE, SLICE
from inference.engines.llamacpp.pace import FEWEST, LEAST, LONGEST, Pace
from inference.engines.threads import Tuner
from inference.hardware import Idleness, thread_counts


class Machine:
    """A clock, idle processors, and how long a step takes with a number of threads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.idle = 4.0
        monkeypatch.setattr(Idleness, "look", lambda _: self.idle)
        monkeypatch.setattr("inference.engines.threads.time.monotonic", lambda: self.now)

    def run(self, tuner: Tuner, cost: Callable[[int], float], seconds: float) -> float:
        """Steps for some time; how many there were for each second."""
        end, steps = self.now + seconds, 0
        while self.now < end:
            took = cost(tuner.threads)
            self.now += took
            tuner.saw(1, took)
            steps += 1
        return steps / seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def idle(threads: int) -> float:
    return 0.02 / threads


def taken(threads: int) -> float:
    """Another program has one of four cores: four threads wait for it."""
    return {1: 0.02, 2: 0.01, 3: 0.007, 4: 0.03}[threads]


def test_it_works(machine: Machine) -> None:
    tuner = Tuner([4, 3, 2, 1], 1)
    machine.run(tuner, idle, 20)
    assert tuner.best == 4


def test_it_leaves_a_core_that_is_taken_and_comes_back(machine: Machine) -> None:
    tuner = Tuner([4, 3, 2, 1], 4)
    machine.run(tuner, idle, 10)
    assert tuner.best == 4
    machine.run(tuner, taken, 1)
    assert tuner.best == 3
    machine.run(tuner, idle, 20)
    assert tuner.best == 4


def test_its_trials_cost_little(machine: Machine) -> None:
    for cost, best in ((idle, 4), (taken, 3)):
        tuner = Tuner([4, 3, 2, 1], best)
        rate = machine.run(tuner, cost, 60)
        assert rate > 0.95 / cost(best)


def test_more_are_not_tried_where_nothing_is_idle(machine: Machine) -> None:
    machine.idle = 0.2
    tuner = Tuner([2, 1], 1)
    tried = []

    def cost(threads: int) -> float:
        tried.append(threads)
        return 0.02 if threads == 1 else 2.0

    machine.run(tuner, cost, 60)
    assert set(tried) == {1}


def test_a_step_that_stalls_is_enough(machine: Machine) -> None:
    tuner = Tuner([2, 1], 2)
    machine.run(tuner, idle, 5)
    stalled = {1: 0.02, 2: 0.5}
    machine.idle = 0.0
    machine.run(tuner, lambda threads: stalled[threads], 1.2)
    assert tuner.best == 1


def test_a_trial_is_made_on_steps_of_one_kind(machine: Machine) -> None:
    tuner = Tuner([2, 1], 2)
    machine.run(tuner, idle, 7)
    while tuner.threads == 2:
        machine.run(tuner, idle, 0.01)
    # A newcomer's prompt between them is no part of it.
    assert (tuner.choose(1), tuner.choose(64)) == (1, 2)
    tuner.saw(64, 0.1)
    assert tuner.threads == 1
    # Where only others come, it is given up.
    machine.now += 1
    tuner.saw(64, 0.1)
    assert tuner.threads == tuner.best == 2


def test_one_core_is_never_tuned(machine: Machine) -> None:
    tuner = Tuner([1], 1)
    machine.run(tuner, idle, 5)
    assert tuner.threads == 1


def test_candidates_are_this_machines() -> None:
    found = thread_counts()
    assert found == sorted(set(found), reverse=True)
    assert found[-1] == 1


def test_a_prompt_alone_takes_slices_that_nobody_waits_for() -> None:
    assert Pace(SLICE).room(0, 1) == SLICE
    pace = Pace(SLICE)
    pace.read(100, 0.4)
    assert 0.05 < pace.room(0, 1) * 0.004 <= LONGEST
    quick = Pace(SLICE)
    quick.read(100, 0.001)
    assert quick.room(0, 1) == SLICE
    # A large model's pass takes longer; with a token in each it would be read many times slower.
    pace.read(1, 30.0)
    assert pace.room(0, 1) == LEAST


def test_where_slices_are_short_the_first_prompt_goes_on_too() -> None:
    assert Pace(LEAST_SLICE).room(8, 1) == FEWEST


def test_a_prompt_beside_writers_takes_what_they_bear() -> None:
    pace = Pace(SLICE)
    for _ in range(20):
        pace.wrote(8, 0.040)
        pace.read(20, 20 * 0.004)
    slices = [pace.room(8, 1) for _ in range(20)]
    assert 2 * 0.040 < 0.040 + max(slices) * 0.004 <= 3 * 0.040
    # In less than half of the steps, so that those who come seldom meet a long one.
    assert 5 <= sum(size > 0 for size in slices) <= 9
    # Where more wait to be read than write, those are not kept waiting for these.
    assert most(pace, 8, 1) < most(pace, 8, 8) < most(pace, 8, 24)
    # However deep the prompt is: so many that none is left alone.
    pace.read(1, 30.0)
    assert most(pace, 8, 1) == FEWEST


def most(pace: Pace, writers: int, readers: int) -> int:
    return max(pace.room(writers, readers) for _ in range(4))
