"""An answer that cannot be given says why and what to do, and the way out works."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import ECHO, STARTER, wait_for


def test_a_context_that_is_too_small(enter: Enter) -> None:
    """Nothing is left out silently: it is said, and the person chooses."""
    window = enter()
    for part in ("first", "second"):
        window.choose(ECHO)
        window.text.fill(f"{part} " * 1900)
        window.text.press("Enter")
        expect(window.page.locator("#stop")).to_be_visible()
        window.page.locator("#stop").click()
        window.wait_done()
    window.say("third " * 400)
    trouble = window.answers.last.locator(".trouble")
    expect(trouble).to_be_visible()
    expect(trouble).to_contain_text("4096")
    expect(trouble.get_by_role("button", name="Try again")).to_be_hidden()
    window.page.reload()
    expect(trouble).to_contain_text("4096")
    trouble.get_by_role("button", name="Leave out the oldest").click()
    expect(window.answers.last.locator(".branches__count")).to_have_text("2/2")
    window.wait_text("third third")
    window.page.locator("#stop").click()
    window.wait_done()
    expect(window.answers.last.locator(".trouble")).to_have_count(0)


def test_a_message_longer_than_the_context_can_be_edited(enter: Enter) -> None:
    window = enter()
    window.bound(16)
    window.choose(STARTER)
    window.text.fill("lighthouse keeper " * 6000)
    window.text.press("Enter")
    trouble = window.answers.last.locator(".trouble")
    expect(trouble).to_be_visible(timeout=30_000)
    expect(trouble).to_contain_text("8192")
    trouble.get_by_role("button", name="Edit my message").click()
    area = window.questions.last.locator(".edit__text")
    expect(area).to_be_focused()
    area.fill("What does a lighthouse keeper do?")
    area.press("Enter")
    expect(window.questions.last.locator(".branches__count")).to_have_text("2/2")
    window.wait_done(60)
    wait_for(lambda: len(window.answer()) > 5, "an answer")
