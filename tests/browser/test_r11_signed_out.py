"""R11: who is logged out or disabled elsewhere is at the login page within two seconds."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import numbers
from tests.live import Person, Site

LIMIT = 2.0


@pytest.fixture
def log_in(site: Site) -> Callable[[], Person]:
    def make() -> Person:
        person = Person(site, "charlie")
        assert person.login().status == 200
        return person

    return make


def test_r11_it_works(blank: Enter, log_in: Callable[[], Person]) -> None:
    person = log_in()
    window, other = blank(), blank()
    for each in (window, other):
        each.enter(person)
        each.open("/chat/").ready()
    window.page.wait_for_timeout(500)
    other.page.locator(".user__summary").click()
    other.page.get_by_role("button", name="Log out").click()
    expect(other.page).to_have_url(re.compile("/login"))
    began = time.monotonic()
    expect(window.page).to_have_url(re.compile("/login"))
    assert time.monotonic() - began < LIMIT


def test_r11_a_disabled_person(
    blank: Enter, enter: Enter, log_in: Callable[[], Person], people: dict[str, Person]
) -> None:
    window = blank()
    window.enter(log_in())
    window.open("/chat/").ready()
    window.say(numbers(300))
    window.wait_text(r"\b5\b")
    admin = enter("alice", "/settings/users")
    admin.page.get_by_role("link", name="charlie").first.click()
    admin.page.on("dialog", lambda dialog: dialog.accept())
    admin.page.get_by_role("button", name=re.compile("^Disable")).click()
    began = time.monotonic()
    try:
        expect(window.page).to_have_url(re.compile("/login"))
        print(f"\nat the login page after {time.monotonic() - began:.2f} s")
        assert time.monotonic() - began < LIMIT
    finally:
        admin.page.get_by_role("button", name=re.compile("^Enable")).click()
        expect(admin.page.get_by_role("button", name=re.compile("^Disable"))).to_be_visible()
        people["charlie"].login()
