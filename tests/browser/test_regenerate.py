"""Answer again: another answer beside the first one."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import STARTER


def test_it_works(enter: Enter) -> None:
    window = enter()
    window.bound(24)
    window.page.locator("#p-seed").evaluate("field => (field.value = '')")
    window.say("Invent a name for a sailing boat and say why.", STARTER)
    window.wait_done(60)
    first = window.answer()
    window.answers.last.hover()
    window.answers.last.locator('[data-action="regenerate"]').click()
    count = window.answers.last.locator(".branches__count")
    expect(count).to_have_text("2/2")
    window.wait_done(60)
    second = window.answer()
    assert second
    expect(window.turns).to_have_count(2)
    window.answers.last.get_by_role("button", name="Previous version").click()
    expect(count).to_have_text("1/2")
    assert window.answer() == first
    # A random seed each time: the same words again would mean that nothing was asked.
    assert first != second
