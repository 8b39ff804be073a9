"""A machine loses its power in the middle of eight answers: another one goes on with all of them.

CHATSITE_FAILURE_ROUNDS=20 does it ten times for each engine; the default is once.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest

from tests.office.office import Asked, Office, Question, ask, finish, look, until
from tests.office.steering import give_all, resting, workers_of
from tests.running.judging import ROUNDS, Total
from tests.running.reference import Reference
from tests.running.talking import STARTER
from tests.running.test_failures import QUESTIONS

pytestmark = pytest.mark.live

TIMES = max(1, ROUNDS // 2)
# Seconds until somebody else writes on, where it has the model loaded.
GAP = 10.0
# Until a lost lease is seen.
LEASE = 6.0
TOKENS = "40"
# An answer of the echo is its question.
WORDS = [" ".join(f"{name}{n}" for n in range(250)) for name in ("red", "blue", "green", "grey")]
ECHO = [Question("echo", text, {"max_tokens": "400"}) for text in WORDS]
REAL = [
    Question(STARTER, text, {**options, "max_tokens": TOKENS}) for text, options in QUESTIONS[:4]
]


def test_it_works(office: Office) -> None:
    """The echo: what it should say is known to the letter."""
    total = Total()
    for _ in range(TIMES):
        asked = lose_the_second(office, ECHO * 2, total)
        assert [each.logged.text.strip() for each in asked] == WORDS * 2
    check("echo", total)


def test_with_real_weights(office: Office) -> None:
    """The tokens are those of an undisturbed answer, but from a near tie on."""
    plain = [ask(office.alice, question) for question in REAL]
    finish(office.site, plain, Total(), time.monotonic())
    total, reference = Total(), Reference(office.site.data)
    for _ in range(TIMES):
        for each, alone in zip(lose_the_second(office, REAL * 2, total), plain * 2, strict=True):
            compare(reference, total, each, alone)
    check(STARTER, total, eight_fresh(office))
    assert total.differing == 0, total.remarks


def test_its_engines_end_with_it(office: Office) -> None:
    """The worker alone is killed: what it has started finds out by itself; on a machine of its own
    nobody else would end it."""
    first = office.first_name
    office.second.wait(office.broker)
    with resting(office.broker, first):
        asked = ask(office.alice, ECHO[0])
        asked.reader.wait_position(20)
        assert office.second.engines()
        os.kill(office.second.pid, signal.SIGKILL)
    until(lambda: office.second.processes() == [], 10, "for the engines to end")
    office.second.kill()
    asked.reader.wait_end()
    assert asked.reader.text.strip() == WORDS[0]
    office.second.start().wait(office.broker)


def lose_the_second(office: Office, questions: list[Question], total: Total) -> list[Asked]:
    """The second worker writes all of them and is gone, with all that it has started."""
    first, second = office.first_name, office.second.wait(office.broker)
    asked = give_all(office.site, office.key, office.alice, questions, (second, first))
    look(office.site, asked)
    gone = office.second.kill()
    began = time.monotonic()
    assert len(gone) >= 2
    assert office.second.processes() == []
    finish(office.site, asked, total, began)
    assert set(workers_of(office.broker, asked)) == {first}
    office.second.start().wait(office.broker)
    return asked


def eight_fresh(office: Office) -> float:
    """Seconds until each of eight new answers has begun, where nothing dies."""
    began = time.monotonic()
    texts = [f"{each.text} Be brief, please." for each in REAL * 2]
    asked = [ask(office.alice, replace(REAL[0], text=text)) for text in texts]
    for each in asked:
        each.reader.wait_position(1)
    seconds = time.monotonic() - began
    finish(office.site, asked, Total(), began)
    return seconds


def compare(reference: Reference, total: Total, each: Asked, alone: Asked) -> None:
    """The same tokens as the undisturbed answer, or others from a near tie on."""
    one, other = alone.logged.tokens, each.logged.tokens
    if one == other:
        return
    tie = reference.difference(alone.logged.requests[0], one, other)
    total.remarks.append(str(tie))
    total.tied += tie.near
    total.differing += not tie.near


def check(model: str, total: Total, fresh: float = 0.0) -> None:
    gaps = sorted(total.gaps)
    print(f"\n{model}: {total.answers} answers, gap {gaps[len(gaps) // 2]:.1f} / {gaps[-1]:.1f} s")
    print(f"  lost {total.lost}, repeated {total.repeated}, {total.tied} of near ties")
    assert (total.lost, total.repeated, total.restarted) == (0, 0, 0), total.remarks
    # Beside the lease they need what new ones need: on a slow machine that alone is seconds.
    assert gaps[-1] <= max(GAP, LEASE + 2 * fresh)
