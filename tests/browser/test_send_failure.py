"""A message that cannot be sent stays in the box, is sent again on demand, and never twice."""

from __future__ import annotations

from playwright.sync_api import Route, expect

from tests.browser.conftest import Enter
from tests.browser.window import ECHO, UNREACHABLE


def test_it_works(enter: Enter) -> None:
    window = enter().ready()
    window.watch.allow(*UNREACHABLE)
    window.choose(ECHO)
    window.context.set_offline(True)
    window.text.fill("from a tunnel")
    window.text.press("Enter")
    trouble = window.page.locator("#send-error")
    expect(trouble).to_contain_text("Your message is still in the box.")
    expect(window.text).to_have_value("from a tunnel")
    expect(window.turns).to_have_count(0)
    window.context.set_offline(False)
    trouble.get_by_role("button", name="Try again").click()
    expect(window.answers).to_have_count(1)
    window.wait_done()
    expect(trouble).to_be_hidden()
    expect(window.text).to_have_value("")
    assert window.shown() == ["from a tunnel"] * 2


def test_an_answer_that_got_lost_makes_no_double(enter: Enter) -> None:
    """The server has the message, and the browser does not know it."""
    window = enter().ready()
    window.watch.allow(*UNREACHABLE)
    window.say("hello")
    window.wait_done()

    def lose(route: Route) -> None:
        route.fetch()
        route.abort()

    window.page.route("**/chat/send", lose)
    window.text.fill("said once")
    window.text.press("Enter")
    expect(window.page.locator("#send-error")).to_be_visible()
    window.page.unroute("**/chat/send")
    window.page.locator('[data-action="resend"]').click()
    expect(window.answers).to_have_count(2)
    window.wait_done()
    expect(window.page.locator("#send-error")).to_be_hidden()
    expect(window.questions).to_have_count(2)
    assert window.shown() == ["hello"] * 2 + ["said once"] * 2
    window.page.reload()
    assert window.shown() == ["hello"] * 2 + ["said once"] * 2


def test_two_quick_enters_send_once(enter: Enter) -> None:
    window = enter().ready()
    window.choose(ECHO)
    window.text.fill("only once")
    window.text.evaluate(
        """area => { for (let i = 0; i < 3; i += 1) area.dispatchEvent(
          new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true })); }"""
    )
    expect(window.turns).to_have_count(2)
    window.wait_done()
    window.page.reload()
    assert window.shown() == ["only once"] * 2
