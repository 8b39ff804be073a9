"""Searching titles and messages, two Chinese characters included."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter


@pytest.mark.parametrize(
    ("said", "word"),
    [("The heron stands in the reeds", "heron"), ("今天的天气很好，我们去公园吧", "天气")],
)
def test_it_works(enter: Enter, said: str, word: str) -> None:
    window = enter()
    window.say(said)
    window.wait_done()
    conversation = window.conversation
    window.open("/chat/")
    window.page.keyboard.press("Control+k")
    search = window.page.locator("#search")
    expect(search).to_be_focused()
    search.press_sequentially(word, delay=30)
    found = window.page.locator(f'.found[href="/chat/{conversation}/"]')
    expect(found).to_be_visible()
    expect(found.locator("mark").first).to_have_text(word)
    found.click()
    expect(window.questions.first).to_contain_text(word)


def test_what_nobody_said(enter: Enter) -> None:
    window = enter()
    window.page.locator("#search").fill("xylophone quagmire")
    expect(window.page.get_by_text("Nothing found. Try another word.")).to_be_visible()
    window.page.locator("#search").fill("")
    expect(window.page.get_by_text("Nothing found. Try another word.")).to_have_count(0)


def test_what_somebody_else_said(enter: Enter) -> None:
    window = enter("bob")
    window.say("kingfisher secrets")
    window.wait_done()
    other = enter("charlie")
    other.page.locator("#search").fill("kingfisher")
    expect(other.page.get_by_text("Nothing found. Try another word.")).to_be_visible()
