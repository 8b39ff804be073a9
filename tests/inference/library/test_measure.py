"""The machine's measure: taken once, kept, and not while somebody wants an answer."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from inference.hardware import Idleness
from inference.library import measure, survey


def test_it_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measure.run(tmp_path)
    assert found
    assert found["bandwidth"] > 1e8
    assert set(found["rates"]) == set(measure.FAMILIES)
    assert min(found["rates"].values()) > 1e6
    # Nothing but the figures stays.
    assert [each.name for each in (tmp_path / "engine").iterdir()] == ["machine.json"]
    assert measure.known(tmp_path) == found
    # Another machine is another question.
    monkeypatch.setattr(measure, "processor", lambda: "another")
    assert measure.known(tmp_path) is None


@pytest.mark.parametrize("text", ["", "[]", "{", '{"rates": {}}'])
def test_a_damaged_file_is_no_measure(tmp_path: Path, text: str) -> None:
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine" / "machine.json").write_text(text)
    assert measure.known(tmp_path) is None


def test_where_it_cannot_be_measured_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert measure.run(tmp_path) is None


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether it was quiet, of each time that something was measured."""
    taken: list[bool] = []

    def run(_: Path, *, quiet: bool) -> dict[str, Any]:
        taken.append(quiet)
        return {"bandwidth": 5.0, "quiet": quiet}

    monkeypatch.setattr(measure, "run", run)
    monkeypatch.setattr(survey, "QUIET", 1)
    return taken


def idle(monkeypatch: pytest.MonkeyPatch, *processors: float) -> None:
    """So many had nothing to do at each look; the last number stays."""
    looks = iter(processors)
    monkeypatch.setattr(Idleness, "look", lambda _: next(looks, processors[-1]))


def test_it_waits_until_no_engine_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[bool]
) -> None:
    idle(monkeypatch, 1000)
    works, ending = [True], threading.Event()
    thread = survey.Survey(tmp_path, lambda: works[0], ending)
    thread.start()
    time.sleep(2.2)
    assert thread.figures == {}
    works[0] = False
    thread.join(timeout=10)
    assert thread.figures["bandwidth"] == 5.0
    assert taken == [True]


@pytest.mark.parametrize(("free", "measured"), [(0.5, [False, True]), (0, [True])])
def test_on_a_busy_machine_it_is_measured_once_more(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    taken: list[bool],
    free: float,
    measured: list[bool],
) -> None:
    """Poor figures first; none beside programs that leave nothing free."""
    monkeypatch.setattr(survey, "LATE", 1)
    some = free * (os.cpu_count() or 1)
    idle(monkeypatch, some, some, some, 1000)
    thread = survey.Survey(tmp_path, lambda: False, threading.Event())
    thread.start()
    thread.join(timeout=10)
    assert taken == measured


def test_not_yet_beside_an_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[bool]
) -> None:
    monkeypatch.setattr(survey, "LATE", 1)
    idle(monkeypatch, 0.5 * (os.cpu_count() or 1))
    ending = threading.Event()
    thread = survey.Survey(tmp_path, lambda: True, ending)
    thread.start()
    time.sleep(2.5)
    ending.set()
    thread.join(timeout=5)
    assert taken == []


def test_in_the_end_it_is_measured_beside_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[bool]
) -> None:
    monkeypatch.setattr(survey, "LATEST", 2)
    idle(monkeypatch, 0)
    ending = threading.Event()
    thread = survey.Survey(tmp_path, lambda: True, ending)
    thread.start()
    time.sleep(4.5)
    assert taken == [False]
    ending.set()
    thread.join(timeout=5)


def test_an_engine_that_nobody_asks_is_no_reason_to_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[bool]
) -> None:
    monkeypatch.setattr(survey, "SILENT", 2)
    idle(monkeypatch, 1000)
    thread = survey.Survey(tmp_path, lambda: True, threading.Event())
    thread.start()
    thread.join(timeout=10)
    assert taken == [True]


def test_a_machine_that_cannot_be_measured_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "run", lambda *_, **__: None)
    monkeypatch.setattr(survey, "QUIET", 1)
    idle(monkeypatch, 1000)
    thread = survey.Survey(tmp_path, lambda: False, threading.Event())
    thread.start()
    thread.join(timeout=10)
    assert thread.figures == {"measurable": False}
