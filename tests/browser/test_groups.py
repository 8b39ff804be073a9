"""A model for some people only: the admin makes a group, and open pages follow."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from tests.browser.conftest import Enter
from tests.browser.window import Window

MODEL = "in-turns"


def offered(window: Window) -> Locator:
    """The model in the picker of a page that stays open."""
    return window.page.locator(f'#models input[value="{MODEL}"]')


def make(admin: Window, name: str) -> None:
    page = admin.open("/settings/groups").page
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make a group").click()
    expect(page.get_by_role("heading", name=name, level=1)).to_be_visible()


def put_in(admin: Window, group: str, person: str) -> None:
    page = admin.open("/settings/groups").page
    page.get_by_role("link", name=group).click()
    page.get_by_label("Whom to put into the group").fill(person)
    page.get_by_role("button", name="Put in").click()
    expect(page.get_by_text("1 is new in it.")).to_be_visible()


def choose(admin: Window, group: str, *, on: bool) -> None:
    """On the model's page."""
    page = admin.open("/settings/models").page
    page.get_by_role("link", name=re.compile(MODEL)).first.click()
    page.get_by_role("checkbox", name=group).set_checked(on)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()


def test_it_works(enter: Enter) -> None:
    bob, charlie = enter("bob").ready(), enter("charlie").ready()
    for window in (bob, charlie):
        expect(offered(window)).to_have_count(1)
    admin = enter("alice", "/settings/groups")
    make(admin, "Testers")
    put_in(admin, "Testers", "bob")

    choose(admin, "Testers", on=True)
    expect(offered(charlie)).to_have_count(0)
    expect(offered(bob)).to_have_count(1)

    put_in(admin, "Testers", "charlie")
    expect(offered(charlie)).to_have_count(1)
    admin.page.get_by_role("button", name="Take charlie out").click()
    expect(offered(charlie)).to_have_count(0)

    # While the model is for it alone the group cannot go.
    admin.page.get_by_role("link", name="Delete…").click()
    expect(admin.page.get_by_text(f"for this group alone: {MODEL}")).to_be_visible()
    choose(admin, "Testers", on=False)
    expect(offered(charlie)).to_have_count(1)
    admin.open("/settings/groups").page.get_by_role("link", name="Testers").click()
    admin.page.get_by_role("link", name="Delete…").click()
    admin.page.get_by_role("button", name="Delete for good").click()
    expect(admin.page.get_by_text("Testers is deleted.")).to_be_visible()
