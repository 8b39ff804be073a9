"""The first account, made in the browser at the address that `up` prints."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import ECHO, wait_for
from tests.live import PASSWORD, Site


def test_it_works(blank: Enter, new_site: Callable[..., Site]) -> None:
    product = new_site(laid=False)
    wait_for(lambda: f"{product.url}/setup" in product.output(), "the printed address")
    window = blank(product=product).open("/")
    page = window.page
    expect(page).to_have_url(re.compile("/setup$"))
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    page.get_by_label("Name").fill("alice")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.locator('input[type="password"]').nth(1).fill("something else 7")
    page.get_by_role("button", name="Make the account and start").click()
    expect(page.locator(".field__error")).to_be_visible()
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.locator('input[type="password"]').nth(1).fill(PASSWORD)
    page.get_by_role("button", name="Make the account and start").click()
    expect(page.locator("#empty")).to_contain_text("alice")
    window.say("Good morning", ECHO)
    window.wait_done()
    assert window.answer() == "Good morning"
    # Nobody can do it again, and the admin's pages are there.
    other = blank(product=product)
    other.open("/setup")
    expect(other.page).to_have_url(re.compile("/login"))
    window.open("/settings/users")
    expect(page.get_by_role("heading", name="Users")).to_be_visible()
