"""An admin adds a provider in the browser, and people talk with its models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import STARTER, Window
from tests.upstream import Upstream

KEY = "sk-very-secret-1"


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream(key=KEY) as server:
        yield server


def add(window: Window, upstream: Upstream, name: str, *models: str) -> None:
    """By the admin's pages, from the empty form to the models' names."""
    page = window.page
    page.get_by_role("link", name="Add a provider").click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Address").fill(upstream.base_url)
    page.get_by_label("Key", exact=True).fill(KEY)
    page.get_by_label("In our own network").check()
    page.get_by_role("button", name="Go on to its models").click()
    expect(page.get_by_text("The provider answers")).to_be_visible()
    for model in models:
        page.locator(".catalogue-row", has_text=model).get_by_role("checkbox").check()
        page.get_by_label(f"Name of {model} on this site").fill(f"far-{model}")
    page.get_by_role("button", name="Save the choice").click()
    expect(page.get_by_text("Saved.")).to_be_visible()


def remove(window: Window) -> None:
    window.page.get_by_role("link", name="Remove…").click()
    window.page.get_by_role("button", name="Remove for good").click()
    expect(window.page.get_by_text("is removed")).to_be_visible()


def test_it_works(enter: Enter, upstream: Upstream) -> None:
    admin = enter("alice", "/settings/providers")
    add(admin, upstream, "Far away", "words", "cuts")
    # A page that was open before has the new models, and says what they mean.
    bob = enter()
    here, away = bob.page.locator(".empty__here"), bob.page.locator(".empty__away")
    bob.choose(STARTER)
    expect(here).to_be_visible()
    expect(away).to_be_hidden()
    bob.choose("far-words")
    expect(away).to_be_visible()
    expect(here).to_be_hidden()
    bob.say("one two three", model="far-words")
    bob.wait_done()
    assert bob.answer().split() == ["one", "two", "three"]

    # What broke off is asked again only by somebody who wants it.
    bob.say("tell me more", model="far-cuts")
    trouble = bob.answers.last.locator(".trouble")
    expect(trouble).to_contain_text("broke off")
    assert bob.answer() == "one two "
    bob.choose("far-words")
    trouble.get_by_role("button", name="Continue").click()
    bob.wait_text("Please go on")
    bob.wait_done()
    remove(admin)
    asked = [each.body["messages"] for each in upstream.asked if each.body]
    said = [[turn["content"] for turn in turns][-3:] for turns in asked]
    assert ["tell me more", "one two ", "Please go on exactly where you stopped."] in said


def test_a_wrong_key_is_mended_on_the_same_page(enter: Enter, upstream: Upstream) -> None:
    admin = enter("alice", "/settings/providers/new")
    page = admin.page
    page.get_by_label("Name").fill("Mistyped")
    page.get_by_label("Address").fill(upstream.base_url)
    page.get_by_label("Key", exact=True).fill("sk-wrong")
    page.get_by_label("In our own network").check()
    page.get_by_role("button", name="Go on to its models").click()
    expect(page.get_by_role("alert")).to_contain_text("does not accept the key")
    page.get_by_label("Key", exact=True).fill(KEY)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("The provider answers")).to_be_visible()
    assert KEY not in page.content()
    remove(admin)


def test_a_focus_out_of_sight_does_not_move_the_page(enter: Enter) -> None:
    window = enter()
    window.page.evaluate("document.getElementById('p-system').scrollIntoView({inline: 'center'})")
    left = "[...document.querySelectorAll('*')].filter((each) => each.scrollLeft > 0).length"
    assert window.page.evaluate(left) == 0
    assert window.overflow() == 0
