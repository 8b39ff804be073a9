"""What the site adds to the time to the first token, where one client asks: from the POST to the
first piece of text, less from the job's line in the engine's pipe to that of the first token."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.child_engine import ChildEngine
from tests.benchmarks.clients import ask, put_load
from tests.benchmarks.measuring import Figure, Plan, question
from tests.benchmarks.running_site import running_site

SLOTS, CONTEXT = 4, 1024
# Milliseconds.
GOAL = 20.0
# What both remember: the beginning that all prompts of the template share.
SHELF = 64 << 20
# Questions to each side in a round, and tokens of an answer.
PAIRS, LENGTH = 16, 4
# Seconds in which the threads of the side that was asked last fall asleep.
REST = 0.4


def measure(plan: Plan) -> Iterator[Figure]:
    settings: dict[str, Any] = {"slots": SLOTS, "context_length": CONTEXT, "threads": plan.threads}
    with TemporaryDirectory() as folder, running_site(**settings) as site:
        alone = ChildEngine(Path(folder), environment={}, shelf_bytes=SHELF, **settings)
        put_load(site.url, 1, 2, LENGTH)
        alone.first(LENGTH)
        engine, whole, added = [], [], []
        for _ in range(plan.rounds):
            pairs = [pair(alone, site.url) for _ in range(plan.size(PAIRS))]
            engine.append(statistics.median(one for one, _ in pairs))
            whole.append(statistics.median(other for _, other in pairs))
            added.append(whole[-1] - engine[-1])
        alone.close()
    note = f"{statistics.median(whole):.1f} ms, engine alone {statistics.median(engine):.1f} ms"
    yield Figure("added to the first token, 1 client, ms", tuple(added), GOAL, True, note=note)


def pair(alone: ChildEngine, url: str) -> tuple[float, float]:
    """Milliseconds to the first token of one question each."""
    time.sleep(REST)
    engine = alone.first(LENGTH)
    time.sleep(REST)
    reply = ask(url, question(), LENGTH)
    assert not reply.trouble, reply.trouble
    return engine * 1000, (reply.times[0] - reply.asked) * 1000
