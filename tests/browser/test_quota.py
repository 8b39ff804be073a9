"""Who has used up what the admin allows reads why, and what was typed stays until it can be
sent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import ECHO
from tests.live import Person, Site

LIMIT = """
import os
from chatsite.accounts.models import User
from chatsite.metering import actions
names = ("tokens_per_day", "requests_per_day", "requests_per_minute")
amounts = {**dict.fromkeys(names), "requests_per_day": int(os.environ["REQUESTS"])}
person = User.objects.get(username="dora")
actions.set_person_limits(person, amounts if os.environ["REQUESTS"] != "-1" else None)
"""


@pytest.fixture
def dora(site: Site) -> Iterator[Person]:
    """Nobody else's tests count among what she has asked."""
    dora = site.person("dora")
    site.shell(LIMIT, REQUESTS="0")
    yield dora
    site.shell(LIMIT, REQUESTS="-1")


def test_it_works(blank: Enter, site: Site, dora: Person) -> None:
    window = blank()
    window.enter(dora)
    window.open().ready()
    window.watch.allow("429", r"htmx:(responseError|afterRequest)")
    window.choose(ECHO)
    window.text.fill("not lost")
    window.text.press("Enter")
    trouble = window.page.locator("#send-error")
    expect(trouble).to_contain_text("used up your requests for today")
    expect(trouble).to_contain_text("Your message is still in the box.")
    expect(window.text).to_have_value("not lost")
    expect(window.turns).to_have_count(0)
    site.shell(LIMIT, REQUESTS="5")
    trouble.get_by_role("button", name="Try again").click()
    window.wait_done()
    assert window.shown() == ["not lost"] * 2
    window.open("/settings/usage")
    expect(window.page.get_by_text("1 of 5")).to_be_visible()
