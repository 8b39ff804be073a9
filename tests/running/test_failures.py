"""Each kind of process is killed at random moments of answers that somebody reads: nothing is lost.

CHATSITE_FAILURE_ROUNDS=20 kills each kind twenty times (about 20 minutes); the default is short.
CHATSITE_FAILURE_SEED repeats the moments of an earlier run; it is printed with the totals.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.live import Site
from tests.running.judging import ROUNDS, Total, judge
from tests.running.reader import Reader
from tests.running.reference import DRAW, Reference
from tests.running.talking import Logged, Said, log_position, read_log, say

pytestmark = pytest.mark.live

KINDS = ("engine", "worker", "steward", "web", "valkey")
SEED = int(os.environ.get("CHATSITE_FAILURE_SEED") or random.SystemRandom().randrange(1 << 16))
TOKENS = 120
# Tokens that may be on their way while a process is being killed.
SLACK = 10
# What is asked, and how: greedy ones and seeded ones.
QUESTIONS = (
    ("Write a long story about a lighthouse keeper.", {"temperature": "0", "seed": "1"}),
    ("Explain in detail how bread is made.", {"temperature": "0.8", "seed": "7"}),
    ("Tell me a very long tale of two ships.", {"temperature": "1.1", "seed": "42"}),
    ("Describe the seasons of the year at length.", {"temperature": "0", "seed": "3"}),
    ("Write a letter to a friend about a journey.", {"temperature": "0.6", "seed": "99"}),
)


class Talk:
    """One product, one person, the undisturbed answers, and the totals."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.alice = site.person("alice")
        self.random = random.Random(SEED)
        self.totals: dict[str, Total] = defaultdict(Total)
        self.reference = Reference(site.data)
        self._undisturbed: dict[str, Logged] = {}

    def ask(self, question: str, options: dict[str, str]) -> tuple[Said, Reader]:
        said = say(self.alice, question, max_tokens=str(TOKENS), **options)
        reader = Reader(self.alice, said.generation)
        reader.start()
        return said, reader

    def undisturbed(self, question: str, options: dict[str, str]) -> Logged:
        if question not in self._undisturbed:
            said, reader = self.ask(question, options)
            reader.wait_end()
            self._undisturbed[question] = read_log(self.site, said.generation)
        return self._undisturbed[question]


@pytest.fixture(scope="module")
def talk(request: pytest.FixtureRequest) -> Iterator[Talk]:
    site = Site()
    try:
        talk = Talk(site.start())
        yield talk
        assert site.stop() == 0
        assert site.processes() == []
    finally:
        site.remove()
        capture = request.config.pluginmanager.getplugin("capturemanager")
        assert capture is not None
        with capture.global_and_fixture_disabled():
            report(talk.totals)


@pytest.mark.parametrize("kind", KINDS)
def test_answers_survive_the_death_of(kind: str, talk: Talk) -> None:
    for _ in range(ROUNDS):
        question, options = QUESTIONS[talk.random.randrange(len(QUESTIONS))]
        disturb(talk, kind, question, options)
    total = talk.totals[kind]
    assert (total.lost, total.repeated, total.restarted) == (0, 0, 0), total.remarks
    assert total.differing == 0, total.remarks


@pytest.mark.parametrize("which", [0, 1, 2])
def test_the_check_of_near_ties_computes_what_the_site_computed(which: int, talk: Talk) -> None:
    plain = talk.undisturbed(*QUESTIONS[which])
    request, tokens = plain.requests[0], plain.tokens
    for at in (0, 20, 60):
        assert talk.reference.distance(request, tokens[:at], tokens[at]) < DRAW
    # An end of the text where the answer went on is no near tie.
    difference = talk.reference.difference(request, tokens, tokens[:40])
    assert difference.position == 40
    assert not difference.near


def disturb(talk: Talk, kind: str, question: str, options: dict[str, str]) -> None:
    """One answer, one kill somewhere in it, and the book-keeping."""
    plain = talk.undisturbed(question, options)
    settle(talk.site)
    moment = talk.random.randrange(2, len(plain.tokens) - 5)
    said, reader = talk.ask(question, options)
    reader.wait_position(moment)
    seen = reader.text
    before = log_position(talk.site, said.generation)
    kill(talk.site, kind)
    began = time.monotonic()
    reader.wait_end()
    logged = read_log(talk.site, said.generation)
    total = talk.totals[kind]
    total.answers += 1
    total.gaps.append(reader.gap(began))
    judge(total, reader, logged, seen, before)
    resumed = resumptions(talk.site, said.generation)
    if min(resumed, default=before) < before:
        total.restarted += 1
    if kind in ("engine", "worker") and not resumed:
        # It may have been over before the kill; a start from zero is not in the log's lines either.
        total.restarted += len(logged.tokens) > before + SLACK
        total.remarks.append(f"{kind} at {before} of {len(logged.tokens)}: no resumption")
    assert said.wait_closed() == "done"
    if said.saved() != logged.text:
        total.lost += 1
        total.remarks.append(f"{kind} at {before}: the database has another text")
    compare(talk, total, logged, plain)
    print(f"{kind:8} killed at {before:3} of {len(logged.tokens)}, gap {total.gaps[-1]:.1f} s")


def resumptions(site: Site, generation: str) -> list[int]:
    """After how many tokens workers went on with it, as they say in their log."""
    lines = re.findall(rf"{generation} goes on after (\d+) tokens", site.log("worker"))
    return [int(count) for count in lines]


def settle(site: Site) -> None:
    """What was killed before is there again, and long enough: `up` lets quick deaths wait."""
    site.wait_ready()


def kill(site: Site, kind: str) -> None:
    if kind == "engine":
        for pid in site.engines():
            os.kill(pid, signal.SIGKILL)
    else:
        site.kill(kind)


def compare(talk: Talk, total: Total, logged: Logged, plain: Logged) -> None:
    """The same tokens as the undisturbed run, or others from a near tie on."""
    if logged.tokens == plain.tokens:
        return
    tie = talk.reference.difference(plain.requests[0], plain.tokens, logged.tokens)
    total.remarks.append(str(tie))
    if tie.near:
        total.tied += 1
    else:
        total.differing += 1


def report(totals: dict[str, Total]) -> None:
    print(f"\nFailure test, seed {SEED}, {ROUNDS} answers for each kind of process")
    print("killed    answers  lost  repeated  restarted  near tie  differing  gap median/max")
    for kind, total in totals.items():
        gaps = sorted(total.gaps) or [0.0]
        counts = f"{total.answers:7}  {total.lost:4}  {total.repeated:8}  {total.restarted:9}"
        ends = f"{total.tied:8}  {total.differing:9}"
        print(f"{kind:8}  {counts}  {ends}  {gaps[len(gaps) // 2]:.1f} s / {gaps[-1]:.1f} s")
    everything = totals.values()
    lost, repeated = sum(t.lost for t in everything), sum(t.repeated for t in everything)
    print(
        f"lost {lost}, repeated {repeated}, "
        f"restarted from zero {sum(t.restarted for t in everything)}"
    )
    for total in everything:
        for remark in total.remarks:
            print(f"  {remark}")
