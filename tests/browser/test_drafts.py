"""What is typed and not sent yet stays, in each conversation its own."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Enter


def test_it_works(enter: Enter) -> None:
    window = enter()
    window.text.fill("half a thought")
    window.page.reload()
    expect(window.text).to_have_value("half a thought")
    window.say("a whole one")
    window.wait_done()
    expect(window.text).to_have_value("")
    window.text.fill("for this conversation")
    window.page.locator(".sidebar__new").click()
    expect(window.page.locator("#empty")).to_be_visible()
    expect(window.text).to_have_value("")
    window.page.go_back()
    expect(window.text).to_have_value("for this conversation")


def test_typing_on_while_it_is_answered(enter: Enter) -> None:
    window = enter()
    window.say("one two three four five six seven eight nine ten")
    window.text.fill("the next one")
    window.wait_done()
    expect(window.text).to_have_value("the next one")
