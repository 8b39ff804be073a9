"""What others feel of a very long prompt: the gaps between their tokens while it is read, by what
is usual for answers of their length, which grow meanwhile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence

from inference.contract import Event, Finish, Tokens
from tests.benchmarks.driven_engine import GREEDY, DrivenEngine
from tests.benchmarks.measuring import Figure, Plan, question

STREAMS, CONTEXT, GOAL = 8, 8192, 3.0
# The prompt's tokens; a quick run takes a shorter one.
LONG = 6000
# Steps from which the usual gap is taken.
USUAL = 64
# A round reads for half a minute.
ROUNDS = 3


def measure(plan: Plan) -> Iterator[Figure]:
    engine = DrivenEngine(slots=STREAMS + 1, context_length=CONTEXT, threads=plan.threads)
    ratios, note = [], ""
    for _ in range(min(plan.rounds, ROUNDS)):
        streams = engine.begin([question() for _ in range(STREAMS)], GREEDY)
        before = gaps(engine, streams, steps(plan.size(USUAL)))
        id = engine.add(question(words=words(plan)), GREEDY, user="the-long-one")
        beside = gaps(engine, streams, until_written(id))
        engine.cancel(id)
        after = gaps(engine, streams, steps(plan.size(USUAL)))
        engine.end()
        ratios.append(max(beside_usual(before, beside, after)))
        medians = [statistics.median(each) * 1000 for each in (before, beside, after)]
        note = "median before {:.0f}, beside {:.0f}, after {:.0f} ms".format(*medians)
    title = f"largest by usual gap beside {plan.size(LONG)} tokens"
    yield Figure(title, tuple(ratios), GOAL, at_most=True, note=note)
    engine.engine.close()


def beside_usual(
    before: Sequence[float], beside: Sequence[float], after: Sequence[float]
) -> list[float]:
    """Each gap by what is usual at its time, between what was before and what is after."""
    begin, end = statistics.median(before), statistics.median(after)
    step = (end - begin) / len(beside)
    return [gap / (begin + number * step) for number, gap in enumerate(beside)]


def words(plan: Plan) -> int:
    """A word of the filler is about 1.8 tokens."""
    return plan.size(LONG) * 10 // 18


def gaps(
    engine: DrivenEngine, streams: Sequence[str], over: Callable[[list[Event]], bool]
) -> list[float]:
    """Seconds between two tokens of each stream, over steps until `over` says so."""
    now = time.perf_counter()
    last = dict.fromkeys(streams, now)
    found: list[float] = []
    while True:
        events = engine.step()
        now = time.perf_counter()
        for event in events:
            if isinstance(event, Tokens) and event.id in last:
                found.append(now - last[event.id])
                last[event.id] = now
        if over(events):
            # Who was left without a token all the time counts, too.
            return found + [now - at for at in last.values()]


def steps(count: int) -> Callable[[list[Event]], bool]:
    left = iter(range(count - 1))
    return lambda _: next(left, None) is None


def until_written(id: str) -> Callable[[list[Event]], bool]:
    """Until the long prompt is read: its first token is there."""

    def over(events: list[Event]) -> bool:
        mine = [event for event in events if event.id == id]
        assert not any(isinstance(event, Finish) for event in mine), "It does not fit the context."
        return any(isinstance(event, Tokens) for event in mine)

    return over
