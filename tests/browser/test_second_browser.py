"""The same conversation in two browsers: both see the same stream, from either side."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import numbers


def test_it_works(enter: Enter) -> None:
    first = enter()
    first.say(numbers(200))
    first.wait_text(r"\b10\b")
    second = enter(path=f"/chat/{first.conversation}/")
    second.wait_text(r"\b10\b")
    expect(second.live).to_have_count(1)
    for window in (first, second):
        window.wait_done()
    assert first.shown() == second.shown() == [numbers(200)] * 2


def test_what_is_said_in_one_appears_in_the_other(enter: Enter) -> None:
    first = enter()
    first.say("hello there")
    first.wait_done()
    second = enter(path=f"/chat/{first.conversation}/").ready()
    expect(second.turns).to_have_count(2)
    first.say(numbers(100))
    expect(second.turns).to_have_count(4)
    second.wait_text(r"\b5\b")
    expect(second.live).to_have_count(1)
    first.wait_done()
    second.wait_done()
    assert first.shown() == second.shown() == ["hello there"] * 2 + [numbers(100)] * 2


def test_a_new_conversation_appears_in_the_other_list(enter: Enter) -> None:
    second = enter().ready()
    first = enter()
    first.say("a walk beside the river")
    expect(second.in_sidebar(first.conversation)).to_be_visible()


def test_stopped_from_the_other_one(enter: Enter) -> None:
    first = enter()
    first.say(numbers(400))
    first.wait_text(r"\b5\b")
    second = enter(path=f"/chat/{first.conversation}/")
    second.wait_text(r"\b5\b")
    second.page.locator("#stop").click()
    first.wait_done()
    second.wait_done()
    expect(first.answers.last.locator("[data-stats]")).to_contain_text("stopped")
    assert first.answer() == second.answer()
    assert len(first.answer().split()) < 400
