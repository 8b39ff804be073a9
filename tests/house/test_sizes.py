"""A file fits in a head, a function on a screen."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.house.sources import name, ours

FILE_LINES = 400
FUNCTION_LINES = 60


def test_it_works() -> None:
    files = ours(".py", ".js", ".css", ".html")
    assert {path.suffix for path in files} == {".py", ".js", ".css", ".html"}
    too_long = {name(path): lines(path) for path in files if lines(path) > FILE_LINES}
    assert too_long == {}


def test_functions_fit_on_a_screen() -> None:
    too_long = {
        f"{name(path)}:{node.lineno} {node.name}": length
        for path in ours(".py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    }
    assert too_long == {}


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())
