"""What the documents name is there: files, modules, commands, settings, versions."""

from __future__ import annotations

import os
import re
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.core.management import get_commands

from tests.house.sources import ROOT, ours

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
# What `up` tells its own parts, and what only tests set: nobody else has to know.
INTERNAL = {
    "CHATSITE_BIND",
    "CHATSITE_ECHO_MODEL",
    "CHATSITE_ENGINE_PID",
    "CHATSITE_SETUP_TOKEN",
    "CHATSITE_UP",
    "CHATSITE_UP_PID",
}
# Folders that come to be when the product is used.
MADE = ("data/", "run/", "logs/", "secrets/", "valkey/")
CODE = re.compile(r"`([^`\n]+)`")
FILE = re.compile(r"^(?:[\w.-]+/)+[\w.-]*$|^[\w-]+\.(?:py|md|toml|html|css|js|yaml)$")
MODULE = re.compile(r"^(?:chatsite|inference|tests)(?:\.\w+)+$")
COMMAND = re.compile(r"manage\.py ([a-z]\w+)")
SETTING = re.compile(r"CHATSITE_[A-Z_]*[A-Z]")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_it_works(document: Path) -> None:
    text = document.read_text()
    words = CODE.findall(text)
    missing = [word for word in words if FILE.match(word) and not exists(word)]
    missing += [word for word in words if MODULE.match(word) and not importable(word)]
    missing += [word for word in COMMAND.findall(text) if word not in get_commands()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text())
    files = [link for link in links if "://" not in link]
    assert [link for link in files if not (document.parent / link).exists()] == []


def test_every_setting_is_documented() -> None:
    read = set()
    for path in ours(".py"):
        if path.is_relative_to(ROOT / "tests"):
            continue
        read |= set(SETTING.findall(path.read_text()))
    names = SETTING.findall((ROOT / "README.md").read_text())
    documented = {name.removesuffix("_FILE") for name in names}
    assert read - INTERNAL - documented == set(), "is read but not in the README"
    assert documented - read == set(), "is in the README but never read"


def test_the_readme_is_short_and_its_commands_are_the_ones_that_run() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 300
    run = "pip install uv && uv run manage.py up"
    test = "pip install uv && uv run --group tests --group lint --group types python -m tests"
    assert run in text
    assert test in text
    assert test in (ROOT / ".ci" / "run").read_text()
    assert text.index(run) < 800, "the README begins with it"


def test_the_newest_version_in_the_changelog_is_the_version() -> None:
    newest = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert newest is not None
    assert newest[1] == project["version"]


def test_no_lock_file_with_addresses() -> None:
    assert "uv.lock" in (ROOT / ".gitignore").read_text()


def test_ci_can_be_started() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def exists(word: str) -> bool:
    """A path from the root, or one that is said within its room."""
    if (ROOT / word).exists() or word.startswith(MADE):
        return True
    return any((ROOT / folder / word).exists() for folder in ("chatsite", "inference", "tests"))


def importable(word: str) -> bool:
    """A module, a name in one, or a Celery task's name."""
    if any(f'"{word}"' in path.read_text() for path in ours(".py")):
        return True
    return (ROOT / word.replace(".", "/")).exists() or any(
        (ROOT / f"{stem.replace('.', '/')}.py").exists() or find_spec(stem) is not None
        for stem in (word, word.rpartition(".")[0])
        if "." in stem
    )


@pytest.mark.parametrize("path", [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")], ids=str)
def test_nothing_is_left_to_be_filled_in(path: Path) -> None:
    assert re.findall(r"^(?:[A-Z]{4,}|TODO.*|TBD.*)$", path.read_text(), re.MULTILINE) == []
