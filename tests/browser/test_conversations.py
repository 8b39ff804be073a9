"""Renaming a conversation, deleting it, and bringing it back."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import Window


def choose(window: Window, action: str) -> None:
    item = window.in_sidebar()
    item.hover()
    item.locator("summary").click()
    item.locator(f'[data-action="{action}"]').click()


def test_it_works(enter: Enter) -> None:
    window = enter()
    window.say("something about gardens")
    window.wait_done()
    choose(window, "rename")
    field = window.page.locator(".rename__input")
    expect(field).to_be_focused()
    field.fill("Gardens <b>in</b> May")
    field.press("Enter")
    title = window.in_sidebar().locator(".conversation__title")
    expect(title).to_have_text("Gardens <b>in</b> May")
    expect(window.page.locator("#heading")).to_have_text("Gardens <b>in</b> May")
    window.page.reload()
    expect(title).to_have_text("Gardens <b>in</b> May")


def test_escape_keeps_the_old_title(enter: Enter) -> None:
    window = enter()
    window.say("a title that stays")
    window.wait_done()
    title = window.in_sidebar().locator(".conversation__title")
    expect(title).not_to_have_text("New chat")
    was = title.inner_text()
    choose(window, "rename")
    window.page.locator(".rename__input").fill("Nonsense")
    window.page.locator(".rename__input").press("Escape")
    expect(window.page.locator(".rename")).to_have_count(0)
    expect(title).to_have_text(was)


def test_deleted_and_brought_back(enter: Enter) -> None:
    window = enter()
    # It is looked for once more before the page is left.
    window.watch.allow("Failed to load resource.*404.*/thread/")
    window.say("not to be lost")
    window.wait_done()
    conversation = window.conversation
    choose(window, "delete")
    # The page of what is gone is gone as well; the way back comes along.
    expect(window.page).to_have_url(re.compile("/chat/$"))
    expect(window.in_sidebar(conversation)).to_have_count(0)
    window.page.get_by_role("button", name="Undo").click()
    expect(window.in_sidebar(conversation)).to_be_visible()
    window.in_sidebar(conversation).locator("a").click()
    expect(window.turns).to_have_count(2)
    assert window.shown() == ["not to be lost"] * 2


def refresh(window: Window) -> None:
    """What the socket's news and the end of an answer do."""
    with window.page.expect_response(lambda answer: "/sidebar" in answer.url):
        window.page.evaluate("() => htmx.trigger('#conversations', 'refresh')")


def test_a_link_that_is_pressed_is_not_taken_away(enter: Enter) -> None:
    window = enter()
    window.say("pressed slowly")
    window.wait_done()
    conversation = window.conversation
    window.open()
    link = window.in_sidebar(conversation).locator("a")
    link.hover()
    window.page.mouse.down()
    refresh(window)
    window.page.wait_for_timeout(100)
    window.page.mouse.up()
    expect(window.page).to_have_url(re.compile(conversation))
    expect(window.turns).to_have_count(2)


def test_a_refresh_that_fails_is_no_news(enter: Enter) -> None:
    """The list stays, and what a person does next works: deleting takes them to the empty page."""
    window = enter()
    window.say("stays in the list")
    window.wait_done()
    window.watch.allow("Failed to load resource.*500", "Failed to load resource.*404.*/thread/")
    window.watch.allow("htmx:responseError|Response Status Error Code 500")
    window.page.route("**/sidebar*", lambda route: route.fulfill(status=500))
    refresh(window)
    expect(window.in_sidebar()).to_be_visible()
    expect(window.page.locator(".toast")).to_have_count(0)
    window.page.unroute("**/sidebar*")
    choose(window, "delete")
    expect(window.page).to_have_url(re.compile("/chat/$"))
