"""Logging in and out, and the page for those who guess."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import Enter
from tests.live import PASSWORD


def log_in(page: Page, name: str, password: str) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_it_works(blank: Enter) -> None:
    window = blank().open("/settings/")
    page = window.page
    expect(page).to_have_url(re.compile(r"/login\?next=/settings/"))
    log_in(page, "charlie", "wrong")
    expect(page.locator("[role=alert], .notice--error, .field__error").first).to_be_visible()
    log_in(page, "charlie", PASSWORD)
    expect(page).to_have_url(re.compile("/settings/$"))
    window.open("/chat/")
    page.locator(".user__summary").click()
    page.get_by_role("button", name="Log out").click()
    expect(page).to_have_url(re.compile("/login"))
    window.open("/chat/")
    expect(page).to_have_url(re.compile("/login"))


def test_the_session_is_hidden_from_scripts(blank: Enter) -> None:
    """R19: nothing that opens the account can be read by a script."""
    window = blank().open("/login")
    log_in(window.page, "charlie", PASSWORD)
    expect(window.page.locator("#empty")).to_be_visible()
    assert "session" not in window.page.evaluate("document.cookie")
    assert window.page.evaluate("localStorage.length") == 0
    session = [cookie for cookie in window.context.cookies() if "session" in cookie["name"]]
    assert [cookie["httpOnly"] for cookie in session] == [True]


def test_guessing_is_paused_with_words(blank: Enter) -> None:
    window = blank().open("/login")
    window.watch.allow("Failed to load resource.*429")
    for _ in range(8):
        log_in(window.page, "nobody", "wrong")
    expect(window.page.get_by_role("heading", name="Please wait a little")).to_be_visible()
    expect(window.page.get_by_text("try again in 10 minutes")).to_be_visible()
    window.page.get_by_role("link", name="Back to the login").click()
    log_in(window.page, "charlie", PASSWORD)
    expect(window.page.locator("#empty")).to_be_visible()
