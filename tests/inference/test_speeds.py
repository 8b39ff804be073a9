"""How fast a model wrote while nobody else asked: seen by the second, remembered, told."""

from __future__ import annotations

from pathlib import Path

import pytest

from inference.contract import ModelSpec
from inference.hardware import Verdicts
from inference.motor import SAMPLES, Motor
from inference.settings import Settings

SPEC = ModelSpec("small", "echo", {"path": "/m.gguf"})


@pytest.fixture
def motor(tmp_path: Path) -> Motor:
    made = Motor(Settings("", tmp_path))
    made.spec = SPEC
    return made


def hear(motor: Motor, *speeds: float, running: int = 1, read: int = 0) -> None:
    """A second of writing for each."""
    known = motor.figures or {"generated_tokens": 0.0, "decode_seconds": 0.0, "prompt_tokens": 9.0}
    for speed in speeds:
        known = {
            "running": running,
            "batch": running,
            "generated_tokens": known["generated_tokens"] + speed,
            "decode_seconds": known["decode_seconds"] + 1.0,
            "prompt_tokens": known["prompt_tokens"] + read,
        }
        motor.note(known)


def told(motor: Motor, tmp_path: Path) -> dict[str, float]:
    return Verdicts(tmp_path / "engine" / "verdicts.json").speeds()


def test_it_works(motor: Motor, tmp_path: Path) -> None:
    # The first word has nothing before it.
    hear(motor, 10, *[12.0] * (SAMPLES - 1))
    assert told(motor, tmp_path) == {}
    hear(motor, 99.0)
    assert told(motor, tmp_path) == {"small": 12.0}
    # What is remembered of its threads and kernels stays.
    Verdicts(tmp_path / "engine" / "verdicts.json").record(SPEC, fast=True, threads=2)
    assert told(motor, tmp_path) == {"small": 12.0}


def test_the_latest_replaces_what_was_known(motor: Motor, tmp_path: Path) -> None:
    hear(motor, *[10.0] * (SAMPLES + 1))
    hear(motor, *[6.0] * SAMPLES)
    assert told(motor, tmp_path) == {"small": 6.0}


@pytest.mark.parametrize("other", [{"running": 2}, {"running": 0}, {"read": 5}])
def test_only_answers_that_are_alone_count(
    motor: Motor, tmp_path: Path, other: dict[str, int]
) -> None:
    hear(motor, *[10.0] * 3 * SAMPLES, **other)
    assert told(motor, tmp_path) == {}
