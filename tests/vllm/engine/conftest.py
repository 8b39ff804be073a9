"""The engine of vLLM in the tests' own process, loaded once for all of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.vllm.engine.driving import Driver, load

if find_spec("vllm") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="package")
def tiny(safetensors: Path) -> Iterator[Driver]:
    driver = load(safetensors)
    yield driver
    driver.engine.close()


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test leaves an engine that has nothing to do."""
    yield
    if "tiny" in request.fixturenames:
        assert not request.getfixturevalue("tiny").engine.busy()
