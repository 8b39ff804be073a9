"""The version that a worker tells is the product's."""

from __future__ import annotations

import tomllib

from inference.child import ROOT
from inference.release import OURS


def test_it_works() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert OURS.product == project["version"]
