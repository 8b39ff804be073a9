"""English and Simplified Chinese: as the browser asks, or as the person chooses."""

from __future__ import annotations

import re
from collections.abc import Iterator

import polib
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import ECHO, Window
from tests.live import ROOT

MESSAGES = ROOT / "chatsite" / "locale" / "zh_Hans" / "LC_MESSAGES"
PAGES = ["/chat/", "/settings/", "/settings/password", "/settings/users", "/settings/site"]
# Each language is called by its own name, so that those find it who read no other.
OWN_NAMES = {"English"}
VISIBLE = """
() => [document.title, document.body.innerText,
  ...[...document.querySelectorAll("[title], [placeholder], [aria-label]")].flatMap(
    (e) => ["title", "placeholder", "aria-label"].map((name) => e.getAttribute(name) ?? "")),
  ...[...document.querySelectorAll(".visually-hidden, summary, .menu__item")]
    .map((e) => e.textContent)
].map((text) => text.trim())
"""


def sources() -> Iterator[str]:
    """English words of ours that are different in Chinese and long enough to be recognised."""
    for name in ("django.po", "djangojs.po"):
        for entry in polib.pofile(str(MESSAGES / name)):
            plain = "%" not in entry.msgid and "\n" not in entry.msgid
            if (
                plain
                and entry.msgid not in OWN_NAMES
                and entry.msgstr != entry.msgid
                and re.search("[a-z]{3}", entry.msgid)
            ):
                yield entry.msgid


def check_chinese(window: Window) -> None:
    expect(window.page.locator("html")).to_have_attribute("lang", "zh-hans")
    lines = {line.strip() for text in window.page.evaluate(VISIBLE) for line in text.splitlines()}
    assert any(re.search("[一-鿿]", line) for line in lines)
    left = [source for source in sources() if source in lines]
    assert left == [], window.page.url


@pytest.mark.parametrize("path", PAGES)
def test_a_chinese_browser_gets_chinese(enter: Enter, path: str) -> None:
    window = enter("alice", path, locale="zh-CN")
    check_chinese(window)


@pytest.mark.parametrize("path", ["/login", "/no-such-page"])
def test_before_the_login_too(blank: Enter, path: str) -> None:
    window = blank(locale="zh-CN")
    window.watch.allow("Failed to load resource.*404")
    check_chinese(window.open(path))


def test_a_conversation_in_chinese(enter: Enter) -> None:
    """What the scripts write while it streams is Chinese as well."""
    window = enter("alice", locale="zh-CN")
    # The deleted conversation is looked for once more before the page is left.
    window.watch.allow("Failed to load resource.*404.*/thread/")
    window.say("<think>想一想</think>你好，世界", ECHO)
    window.wait_done()
    expect(window.answers.last.locator("[data-stats]")).not_to_be_empty()
    check_chinese(window)
    item = window.in_sidebar()
    item.hover()
    item.locator("summary").click()
    item.locator('[data-action="delete"]').click()
    expect(window.page).to_have_url(re.compile("/chat/$"))
    expect(window.page.locator(".toast")).to_be_visible()
    check_chinese(window)


def test_switched_in_the_settings(enter: Enter) -> None:
    window = enter("charlie", "/settings/")
    expect(window.page.locator("html")).to_have_attribute("lang", "en")
    try:
        window.page.locator('[name="language"][value="zh-hans"]').check()
        expect(window.page.locator("html")).to_have_attribute("lang", "zh-hans")
        check_chinese(window.open("/chat/"))
    finally:
        window.open("/settings/")
        window.page.locator('[name="language"][value=""]').check()
        expect(window.page.locator("html")).to_have_attribute("lang", "en")
    window.open("/chat/")
    expect(window.page.locator("#text")).to_have_attribute("placeholder", "Ask anything")


def test_switched_before_the_login(blank: Enter) -> None:
    window = blank().open("/login")
    expect(window.page.locator("html")).to_have_attribute("lang", "en")
    window.page.locator('button[name="language"][value="zh-hans"]').click()
    check_chinese(window)
    window.page.reload()
    check_chinese(window)
