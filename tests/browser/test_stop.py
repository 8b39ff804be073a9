"""Stop: by the button and by Escape, at once, and what was written stays."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import Window, numbers


@pytest.mark.parametrize("way", ["button", "Escape"])
def test_it_works(enter: Enter, way: str) -> None:
    window = enter()
    window.say(numbers(400))
    window.wait_text(r"1 2 3 4 5")
    began = time.monotonic()
    stop(window, way)
    window.wait_done()
    assert time.monotonic() - began < 3
    expect(window.answers.last.locator("[data-stats]")).to_contain_text("stopped")
    expect(window.page.locator("#send")).to_be_visible()
    kept = window.answer()
    assert kept == numbers(len(kept.split()))
    assert 5 <= len(kept.split()) < 400
    # The row has the same text, once the steward has closed it.
    window.page.wait_for_timeout(1500)
    window.page.reload()
    assert window.answer() == kept


def test_another_message_can_be_said_after_it(enter: Enter) -> None:
    window = enter()
    window.say(numbers(400))
    window.wait_text(r"1 2 3")
    stop(window, "button")
    window.wait_done()
    window.say("and now this")
    window.wait_done()
    assert window.answer() == "and now this"


def stop(window: Window, way: str) -> None:
    if way == "button":
        window.page.locator("#stop").click()
    else:
        window.text.press(way)
