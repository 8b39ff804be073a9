"""Editing a message makes a branch beside it, and the arrows walk from one to the other."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import Window, wait_for


def edit(window: Window, number: int, text: str) -> None:
    turn = window.questions.nth(number)
    turn.hover()
    turn.locator('[data-action="edit"]').click()
    area = turn.locator(".edit__text")
    expect(area).to_be_focused()
    area.fill(text)
    turn.get_by_role("button", name="Send").click()


def expect_shown(window: Window, texts: list[str]) -> None:
    """A thread that was read anew just before may show for a moment what was there before."""
    wait_for(lambda: window.shown() == texts, str(texts))


def test_it_works(enter: Enter) -> None:
    window = enter()
    window.say("one apple")
    window.wait_done()
    window.say("two pears")
    window.wait_done()
    edit(window, 0, "three plums")
    expect(window.turns).to_have_count(2)
    window.wait_done()
    expect_shown(window, ["three plums"] * 2)
    arrows = window.questions.first.locator(".branches")
    expect(arrows.locator(".branches__count")).to_have_text("2/2")
    arrows.get_by_role("button", name="Previous version").click()
    expect(window.turns).to_have_count(4)
    expect_shown(window, ["one apple"] * 2 + ["two pears"] * 2)
    expect(arrows.locator(".branches__count")).to_have_text("1/2")
    expect(arrows.get_by_role("button", name="Previous version")).to_be_disabled()
    arrows.get_by_role("button", name="Next version").click()
    expect(window.turns).to_have_count(2)
    # The branch that was looked at last is the one that opens again.
    window.page.reload()
    expect_shown(window, ["three plums"] * 2)


def test_a_later_message_keeps_what_stands_before_it(enter: Enter) -> None:
    window = enter()
    for text in ("first", "second"):
        window.say(text)
        window.wait_done()
    edit(window, 1, "another second")
    expect(window.questions.nth(1).locator(".bubble")).to_have_text("another second")
    window.wait_done()
    expect_shown(window, ["first"] * 2 + ["another second"] * 2)


def test_escape_leaves_it_as_it_was(enter: Enter) -> None:
    window = enter()
    window.say("keep me")
    window.wait_done()
    turn = window.questions.first
    turn.hover()
    turn.locator('[data-action="edit"]').click()
    turn.locator(".edit__text").fill("changed")
    turn.locator(".edit__text").press("Escape")
    expect(turn.locator(".edit")).to_have_count(0)
    expect(turn.locator(".bubble")).to_have_text("keep me")
    expect(turn.locator(".branches")).to_have_count(0)
