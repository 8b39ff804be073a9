"""Copying on plain http from another machine, where browsers hide the clipboard API."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from tests.browser.conftest import OFFICE, Enter
from tests.browser.window import Window

CODE = "Look:\n\n```python\nprint('copied')\n```\n\nDone."


def pasted(window: Window) -> str:
    window.text.fill("")
    window.text.press("Control+v")
    return window.text.input_value()


def copied(window: Window, button: Locator) -> str:
    button.locator("xpath=ancestor::article").hover()
    button.click()
    expect(window.page.locator(".toast", has_text="Copied").last).to_be_visible()
    return pasted(window)


def test_it_works(enter: Enter) -> None:
    window = enter(host=OFFICE)
    assert window.page.evaluate("[window.isSecureContext, typeof navigator.clipboard]") == [
        False,
        "undefined",
    ]
    window.say(CODE)
    window.wait_done()
    assert copied(window, window.answers.last.locator(".code__copy")) == "print('copied')\n"
    assert copied(window, window.answers.last.locator('[data-action="copy"]')) == CODE
    assert copied(window, window.questions.last.locator('[data-action="copy"]')) == CODE


def test_an_invitation_link_can_be_copied_there(enter: Enter) -> None:
    window = enter("alice", "/settings/site", host=OFFICE)
    page = window.page
    page.get_by_label("By invitation").check()
    page.get_by_role("button", name="Make").first.click()
    button = page.locator("[data-copy]").first
    button.click()
    expect(page.locator(".toast", has_text="Copied")).to_be_visible()
    window.open("/chat/")
    assert pasted(window).startswith(f"{window.url}/join/")
