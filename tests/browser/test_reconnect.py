"""The web process is killed in the middle of an answer: the page goes on by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import UNREACHABLE, numbers


@pytest.mark.parametrize("part", ["web", "worker"])
def test_it_works(enter: Enter, part: str) -> None:
    window = enter()
    window.watch.allow(*UNREACHABLE)
    window.say(numbers(300))
    window.wait_text(r"\b30\b")
    window.site.kill(part)
    window.wait_done(60)
    assert window.answer() == numbers(300)
    window.site.wait_ready()
    window.page.reload()
    assert window.shown() == [numbers(300)] * 2


def test_offline_for_a_while(enter: Enter) -> None:
    window = enter()
    window.watch.allow(*UNREACHABLE)
    window.say(numbers(200))
    window.wait_text(r"\b20\b")
    # Playwright's offline leaves open sockets alone: closing it is what a lost network does.
    window.context.set_offline(True)
    window.site.kill("web")
    expect(window.page.locator("#connection")).to_have_text("Reconnecting…")
    window.context.set_offline(False)
    window.wait_done(60)
    expect(window.page.locator("#connection")).to_have_text("")
    assert window.answer() == numbers(200)
    window.site.wait_ready()
