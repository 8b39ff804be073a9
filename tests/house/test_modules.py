"""Every module says what it is for; none is a drawer for everything."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.house.sources import ROOT, name, ours

DRAWERS = {"utils", "helpers", "common", "services", "misc", "util", "helper"}


@pytest.mark.parametrize("path", ours(".py"), ids=name)
def test_it_works(path: Path) -> None:
    tree = ast.parse(path.read_text())
    doc = ast.get_docstring(tree)
    assert doc, "begins with no docstring"
    first = doc.split("\n\n")[0].strip()
    assert first[-1] in ".:!?", f"no sentence: {first}"


def test_no_drawers() -> None:
    assert [name(path) for path in ours(".py", ".js", ".css") if path.stem in DRAWERS] == []


def test_rooms_have_a_sign_and_nothing_else_on_the_door() -> None:
    more = [
        name(path)
        for path in ours(".py")
        if path.name == "__init__.py" and len(ast.parse(path.read_text()).body) > 1
    ]
    assert more == []


@pytest.mark.parametrize(
    ("mark", "rooms"), [("live", {"running", "office"}), ("browser", {"browser"})]
)
def test_a_lane_finds_its_tests_in_its_folders(mark: str, rooms: set[str]) -> None:
    marked = {
        path.relative_to(ROOT / "tests").parts[0]
        for path in (ROOT / "tests").rglob("*.py")
        if re.search(
            rf"^ *(pytestmark = |@|item.*)pytest\.mark\.{mark}\b", path.read_text(), re.MULTILINE
        )
    }
    assert marked == rooms
