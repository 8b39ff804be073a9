"""The vendored libraries are what the manifest says; no page asks another host for anything."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "static" / "vendor"
LIBRARIES: list[dict[str, Any]] = json.loads((VENDOR / "manifest.json").read_text())["libraries"]
# An address in a place that makes a browser fetch it. Names of XML namespaces are no addresses.
FETCHED = re.compile(
    r"""(?:\b(?:src|srcset|href|action|poster|data)\s*=\s*["']?"""
    r"""|url\(\s*["']?|@import\s+["']?|\b(?:fetch|import|open)\(\s*["'`]|\bfrom\s+["'])"""
    r"""\s*(?:https?:|wss?:)?//[^\s"'`)]+""",
    re.IGNORECASE,
)
OURS = sorted(
    path
    for folder in ("static", "templates")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".css", ".html", ".js", ".svg"} and VENDOR not in path.parents
)


def names(library: dict[str, Any]) -> str:
    return str(library["name"])


def test_it_works() -> None:
    assert {names(library) for library in LIBRARIES} == {
        "dompurify",
        "highlight.js",
        "htmx.org",
        "katex",
        "markdown-it",
    }


@pytest.mark.parametrize("library", LIBRARIES, ids=names)
def test_the_files_are_unchanged(library: dict[str, Any]) -> None:
    for entry in library["files"]:
        content = (VENDOR / entry["file"]).read_bytes()
        assert sha256(content).hexdigest() == entry["sha256"], entry["file"]


@pytest.mark.parametrize("library", LIBRARIES, ids=names)
def test_the_version_is_the_one_in_the_code(library: dict[str, Any]) -> None:
    code = next(entry["file"] for entry in library["files"] if entry["file"].endswith(".js"))
    text = (VENDOR / code).read_text()
    version = re.escape(library["version"])
    assert re.search(rf"(?<![\d.]){version}(?![\d.])", text), code


@pytest.mark.parametrize("library", LIBRARIES, ids=names)
def test_every_library_has_its_licence(library: dict[str, Any]) -> None:
    assert library["licence"]
    assert any("LICENSE" in entry["file"] for entry in library["files"])


def test_nothing_lies_there_that_the_manifest_does_not_know() -> None:
    known = {entry["file"] for library in LIBRARIES for entry in library["files"]}
    there = {str(p.relative_to(VENDOR)) for p in VENDOR.rglob("*") if p.is_file()}
    assert there == known | {"manifest.json"}


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_asks_another_host(path: Path) -> None:
    assert FETCHED.findall(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/x.js">',
        "<link href=//fonts.example/a.css>",
        "background: url('http://example.org/a.png')",
        '@import "https://example.org/a.css"',
        'fetch("https://example.org/")',
        'import x from "https://example.org/x.js"',
    ],
)
def test_a_foreign_address_would_be_found(text: str) -> None:
    assert FETCHED.search(text)
