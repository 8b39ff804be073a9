"""The machine's measure: taken once, kept, and not while somebody wants an answer."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from inference.library import measure
from inference.library.survey import Survey


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
    monkeypatch.setattr(measure.sys, "executable", "/nowhere/python")
    assert measure.run(tmp_path) is None


def test_it_waits_until_no_engine_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.library.survey.IDLE", 0)
    monkeypatch.setattr(measure, "run", lambda _: {"bandwidth": 5.0})
    works, ending = [True], threading.Event()
    survey = Survey(tmp_path, lambda: works[0], ending)
    survey.start()
    time.sleep(2.2)
    assert survey.figures == {}
    works[0] = False
    survey.join(timeout=10)
    assert survey.figures == {"bandwidth": 5.0}
