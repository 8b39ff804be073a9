"""Talking with the real model: the answer streams in, and what stands around it is filled."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import ECHO, STARTER

# Notes in `window.grown` each length that the answer had: what was shown while it was written.
GROWTH = """() => {
    const lengths = (window.grown = []);
    new MutationObserver(() => {
        const raw = document.querySelector("#thread .turn--assistant .answer [data-raw]");
        const length = raw ? raw.textContent.length : 0;
        if (length && length !== lengths.at(-1)) lengths.push(length);
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


def test_it_works(enter: Enter) -> None:
    window = enter()
    expect(window.page.locator("#empty")).to_be_visible()
    expect(window.page.locator("#send")).to_be_disabled()
    window.bound()
    window.page.evaluate(GROWTH)
    window.say("Tell me a short story about a lighthouse.", STARTER)
    expect(window.page.locator("#empty")).to_have_count(0)
    expect(window.page).to_have_url(re.compile(rf"/chat/{window.conversation}/$"))
    window.wait_text(r"\w+ \w+", 60)
    window.wait_done(90)
    assert len(window.answer()) > 20
    lengths = window.page.evaluate("() => window.grown")
    assert len(lengths) > 2, f"it came at once: {lengths}"
    stats = window.answers.last.locator("[data-stats]")
    expect(stats).to_contain_text(re.compile(r"\d+\.\d tokens/s"))
    expect(stats).to_contain_text(re.compile(r"first token after \d+\.\d\d? s"))
    expect(stats).to_contain_text(re.compile(r"\d+ tokens read, \d+ written"))


def test_a_title_comes_by_itself(enter: Enter) -> None:
    window = enter()
    window.bound(40)
    window.say("What is the capital of France?", STARTER)
    window.wait_done(90)
    title = window.in_sidebar().locator(".conversation__title")
    expect(title).not_to_have_text("New chat", timeout=60_000)
    named = title.inner_text()
    assert len(named) > 2
    expect(window.page.locator("#heading")).to_have_text(named)
    expect(window.page).to_have_title(re.compile("^" + re.escape(named)))
    window.page.reload()
    expect(window.in_sidebar().locator(".conversation__title")).to_have_text(named)


def test_the_gauge_shows_how_full_the_context_is(enter: Enter) -> None:
    window = enter()
    expect(window.page.locator("#gauge")).to_be_hidden()
    window.say("word " * 500, ECHO)
    window.wait_text("word word")
    window.page.locator("#stop").click()
    window.wait_done()
    gauge = window.page.locator("#gauge")
    expect(gauge).to_be_visible()
    expect(gauge).to_have_attribute("title", re.compile(r"^\d+ of 4096 tokens of the context"))
    assert 10 <= int(gauge.get_attribute("aria-valuenow") or 0) <= 30


def test_an_example_is_sent_at_once(enter: Enter) -> None:
    window = enter()
    window.choose(ECHO)
    window.page.locator(".example").first.click()
    window.wait_done()
    assert "rainbow" in window.answer()
