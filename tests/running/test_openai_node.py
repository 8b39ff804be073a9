"""The official `openai` client for Node against the running product. npm fetches it once for each
version, into a cache outside the project."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.lacking import lack
from tests.live import ROOT, Site
from tests.running.asking import wait_idle
from tests.running.talking import STARTER

pytestmark = pytest.mark.live
FOLDER = ROOT / "tests" / "node"
CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chatsite-tests"


@pytest.fixture(scope="module")
def program() -> Path:
    """The program, with the client beside it."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        lack("Node and npm are not installed.")
    wanted = (FOLDER / "package.json").read_bytes()
    folder = CACHES / f"node-{hashlib.sha256(wanted).hexdigest()[:12]}"
    if not (folder / "node_modules" / "openai").exists():
        fetch(wanted, folder)
    return Path(shutil.copy(FOLDER / "talk.mjs", folder))


def fetch(wanted: bytes, folder: Path) -> None:
    draft = folder.with_name(f".{folder.name}-{os.getpid()}")
    draft.mkdir(parents=True)
    (draft / "package.json").write_bytes(wanted)
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
    done = subprocess.run(
        ["npm", "install", *options], cwd=draft, capture_output=True, text=True, timeout=180
    )
    if done.returncode:
        shutil.rmtree(draft)
        lack(f"npm does not get the client: {done.stderr[-500:]}")
    draft.rename(folder)


@pytest.fixture(scope="module")
def found(site: Site, key: str, program: Path) -> dict[str, Any]:
    command = ["node", str(program), f"{site.url}/v1", key, STARTER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_it_works(found: dict[str, Any]) -> None:
    assert found["stream"]["same"], found
    assert found["stream"]["pieces"] > 4
    assert found["helper"] == {"same": True, "text": found["stream"]["text"]}


def test_a_hundred_questions_at_once(found: dict[str, Any]) -> None:
    hundred = found["hundred"]
    assert hundred["ids"] == len(hundred["texts"]) == 100
    assert all(hundred["texts"])
    assert set(hundred["reasons"]) <= {"length", "stop"}
    assert hundred["again"] == hundred["texts"][42]
    assert found["echo"]


def test_errors_are_its_own_classes(found: dict[str, Any]) -> None:
    assert found["mistakes"] == [
        {"kind": "NotFoundError", "status": 404, "code": "model_not_found", "param": "model"},
        {"kind": "BadRequestError", "status": 400, "code": "invalid_value", "param": "temperature"},
    ]


def test_a_stream_that_is_left_frees_its_slot(site: Site, found: dict[str, Any]) -> None:
    assert found["left"]
    wait_idle(site)
