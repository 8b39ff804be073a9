"""Reload in the middle of an answer: it goes on, and each word is there once."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import numbers


def test_it_works(enter: Enter) -> None:
    window = enter()
    window.say(numbers(300))
    for seen in ("10", "60", "120"):
        window.wait_text(rf"\b{seen}\b")
        window.page.reload()
        expect(window.live).to_have_count(1)
    window.wait_done()
    assert window.answer() == numbers(300)
    # What the database has, when nothing streams any more.
    window.page.wait_for_timeout(1500)
    window.page.reload()
    expect(window.live).to_have_count(0)
    assert window.shown() == [numbers(300), numbers(300)]


def test_closed_and_opened_later(enter: Enter) -> None:
    window = enter()
    window.say(numbers(200))
    window.wait_text(r"\b20\b")
    conversation = window.conversation
    window.page.close()
    later = enter(path=f"/chat/{conversation}/")
    later.wait_done()
    assert later.shown() == [numbers(200), numbers(200)]


def test_left_and_come_back_by_the_browsers_buttons(enter: Enter) -> None:
    window = enter()
    window.say(numbers(200))
    window.wait_text(r"\b20\b")
    window.page.locator(".sidebar__new").click()
    expect(window.page.locator("#empty")).to_be_visible()
    window.page.go_back()
    window.wait_text(r"\b21\b")
    window.wait_done()
    assert window.answer() == numbers(200)
