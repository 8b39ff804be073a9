"""`manage.py models check` with the really running product: its worker asks the hub."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hub.server import Hub
from tests.inference.ggufs import build
from tests.live import Site
from tests.running.test_models import SET_HUB, run

pytestmark = pytest.mark.live

REPO = "openbmb/MiniCPM5-1B-GGUF"


@pytest.fixture
def hub(site: Site) -> Iterator[Hub]:
    site.wait_ready()
    site.person("alice")
    hub = Hub()
    site.shell(SET_HUB, HUB=hub.url, FILES=hub.files)
    yield hub
    hub.close()


def test_it_works(site: Site, hub: Hub) -> None:
    """Of the file whose size the list knows another has come; of the other it knows nothing."""
    hub.add(REPO, {f"MiniCPM5-1B-{quant}.gguf": build() for quant in ("Q4_K_M", "Q8_0")})
    done = run(site, "check", "minicpm5")
    assert done.returncode == 1, done.stderr
    size = len(build())
    assert done.stdout.splitlines() == [
        f"{REPO}:",
        f"  MiniCPM5-1B-Q4_K_M.gguf has {size} bytes, the list says 690000000",
        "0 of 1 as the list says, 0 not looked up.",
    ]


def test_what_is_gone_is_told_and_the_next_one_looked_up(site: Site, hub: Hub) -> None:
    done = run(site, "check", "minicpm")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == [
        f"{REPO}:",
        "openbmb/MiniCPM-V-4_5-gguf:",
        "0 of 2 as the list says, 0 not looked up.",
    ]
    assert sum("none of this name" in line for line in lines) == 2


def test_without_a_hub_it_gives_up_soon(site: Site, hub: Hub) -> None:
    with hub.down():
        done = run(site, "check")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "0 of 79 as the list says, 76 not looked up."
