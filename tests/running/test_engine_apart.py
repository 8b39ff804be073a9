"""No request path reaches an engine inside the web process, and none runs outside its child."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live import Site
from tests.running.talking import say

pytestmark = pytest.mark.live

NATIVE = ("libllama", "libggml", "llama_cpp")


def native(pid: int) -> list[str]:
    """The libraries of engines that a process has mapped into its memory."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [line.split()[-1] for line in lines if any(name in line for name in NATIVE)]


def test_it_works(site: Site) -> None:
    bob = site.person("bob")
    said = say(bob, "Hello", max_tokens="8")
    assert said.wait_closed(60) == "done"
    said = say(bob, "Once more", conversation=said.conversation, max_tokens="8")
    assert said.wait_closed(60) == "done"
    assert bob.get("/chat/").status == 200
    # The check itself can see them: they are where they belong.
    assert any(native(pid) for pid in site.engines())
    for part in ("web", "steward", "worker"):
        assert native(site.pid(part)) == [], part
