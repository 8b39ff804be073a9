"""One of two machines with vLLM loses its power in the middle of eight answers: the other goes on
with all of them, after the last token that somebody may have read.

CHATSITE_FAILURE_ROUNDS=20 does it ten times; the default is once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.live import alive
from tests.office.office import Office, Question, ask, finish, look, until
from tests.office.steering import LOAD, give_all, resting, workers_of
from tests.running.judging import ROUNDS, Total
from tests.vllm import environment
from tests.vllm.serving import add
from tests.workers import Worker

MODEL = "twice"
# Seconds until the other one writes on: it has the model loaded.
GAP = 10.0
TOKENS = 120
QUESTIONS = [
    Question(MODEL, text, {"seed": str(seed), "temperature": heat, "max_tokens": str(TOKENS)})
    for seed, (text, heat) in enumerate(
        [
            ("Write a long story about a lighthouse keeper.", "0"),
            ("Explain in detail how bread is made.", "0.8"),
            ("Tell me a very long tale of two ships.", "1.1"),
            ("Describe the seasons of the year at length.", "0"),
        ],
        start=1,
    )
]


@pytest.fixture(scope="module")
def machines(
    safetensors: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Office, Worker]]:
    """An office whose second and third worker have vLLM."""
    root = tmp_path_factory.mktemp("machines")
    made = Office(root, environment.site_python())
    third = made.worker(root / "third")
    try:
        made.start()
        third.start().wait(made.broker)
        # Two of them share this machine: each takes what it needs and no more.
        add(made.site, MODEL, safetensors, context_length=1024, gpu_memory_utilization=0.2)
        yield made, third
        third.stop()
        assert third.processes() == []
        made.check_nothing_is_left()
    finally:
        third.remove()
        made.remove()


def test_it_works(machines: tuple[Office, Worker]) -> None:
    office, third = machines
    total = Total()
    for _ in range(max(1, ROUNDS // 2)):
        lose_the_second(office, third, total)
    gaps = sorted(total.gaps)
    print(f"\nvllm: {total.answers} answers, gap {gaps[len(gaps) // 2]:.1f} / {gaps[-1]:.1f} s")
    assert (total.lost, total.repeated, total.restarted) == (0, 0, 0), total.remarks
    assert gaps[-1] <= GAP


def lose_the_second(office: Office, third: Worker, total: Total) -> None:
    names = office.second.wait(office.broker), third.wait(office.broker)
    asked = give_all(office.site, office.key, office.alice, QUESTIONS * 2, names)
    look(office.site, asked)
    children = psutil.Process(office.second.engines()[0]).children(recursive=True)
    gone = office.second.kill()
    began = time.monotonic()
    assert len(gone) >= 2
    assert [each for each in children if alive(each)] == []
    assert office.second.processes() == []
    finish(office.site, asked, total, began)
    assert set(workers_of(office.broker, asked)) == {names[1]}
    # A continuation, not the beginning once more: `judge` has compared what was there.
    assert all(each.logged.text.startswith(each.seen) for each in asked)
    assert any(len(each.logged.tokens) > each.before for each in asked)
    office.second.start().wait(office.broker)


def test_its_processes_end_with_it(machines: tuple[Office, Worker]) -> None:
    """The worker alone is killed: its engine and the processes of vLLM find out by themselves."""
    office, third = machines
    office.second.wait(office.broker)
    with resting(office.broker, third.wait(office.broker)):
        asked = ask(office.alice, QUESTIONS[0])
        asked.reader.wait_position(10, LOAD)
        (engine,) = office.second.engines()
        assert psutil.Process(engine).children(recursive=True)
        os.kill(office.second.pid, signal.SIGKILL)
    until(lambda: office.second.processes() == [], 10, "for the engine's processes to end")
    office.second.kill()
    asked.reader.wait_end(LOAD)
    assert asked.said.wait_closed() == "done"
    office.second.start().wait(office.broker)
