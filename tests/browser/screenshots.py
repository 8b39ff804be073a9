"""Makes the pictures in docs/screenshots of the running product: `python -m tests.browser.screenshots`.

They show the real model; who talks is Alice. Nothing here is a test.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import FLAGS
from tests.browser.window import STARTER, Watch, Window
from tests.live import PASSWORD, ROOT, Person, Site

FOLDER = ROOT / "docs" / "screenshots"
LARGEST = 150_000
SCREEN = {"width": 1280, "height": 800}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
PEOPLE = """
import os
from chatsite.accounts.models import User
for name in ("bob", "charlie"):
    User.objects.create_user(name, password=os.environ["WORD"])
"""


@dataclass(frozen=True, slots=True)
class Words:
    """What is typed for the pictures of one language."""

    locale: str
    suffix: str
    earlier: tuple[str, ...]
    question: str
    system: str
    seed: int


ENGLISH = Words(
    "en-US",
    "",
    ("What is a good name for a sailing boat?", "Give me three ideas for a rainy weekend."),
    "Write a short Python function that counts the words in a text, then explain it in a list.",
    "Answer briefly and in a friendly way.",
    11,
)
CHINESE = Words(
    "zh-CN",
    "-zh",
    ("How do birds find their way?", "What is a lighthouse for?"),
    "用 Python 写一个简短的函数，统计一段文字里的单词。 Write a short Python function that counts words.",
    "Answer briefly and in a friendly way.",
    11,
)


def main(names: list[str]) -> int:
    """With names (`chat-light`, `users`), only these pictures are kept."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    program = shutil.which("chromium")
    assert program, "the program chromium is needed"
    product = Site(CHATSITE_ECHO_MODEL="")
    try:
        product.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
            Camera(browser, product, names).shoot()
            browser.close()
    finally:
        product.remove()
    return 0


class Camera:
    """One tour through the product in each language."""

    def __init__(self, browser: Browser, product: Site, names: list[str]) -> None:
        self.browser, self.product, self.names = browser, product, names
        self.person = Person(product, "alice")

    def shoot(self) -> None:
        for words in (ENGLISH, CHINESE):
            self.keep(self.window(words).open("/setup").page, "setup", words)
        self.product.person("alice")
        self.product.shell(PEOPLE, WORD=PASSWORD)
        self.person.login()
        for words in (ENGLISH, CHINESE):
            self.before(words)
            self.chats(words)
            self.settings(words)

    def window(self, words: Words, **options: Any) -> Window:
        options = {"viewport": SCREEN, "locale": words.locale, "color_scheme": "light", **options}
        context = self.browser.new_context(**options)
        return Window(context, self.product, Watch(context, {"127.0.0.1"}), self.product.url)

    def enter(self, words: Words, **options: Any) -> Window:
        window = self.window(words, **options)
        window.enter(self.person)
        return window.open()

    def before(self, words: Words) -> None:
        self.keep(self.window(words).open("/login").page, "login", words)
        self.keep(self.enter(words).page, "empty", words)

    def chats(self, words: Words) -> None:
        window = self.enter(words)
        for question in words.earlier:
            window.open()
            window.bound(30, words.seed)
            window.say(question, STARTER)
            window.wait_done(120)
        window.open()
        window.bound(260, words.seed)
        window.say(words.question, STARTER)
        window.wait_done(180)
        window.page.wait_for_timeout(4000)  # its title
        path = f"/chat/{window.conversation}/"
        window.open(path)
        self.keep(window.page, "chat-light", words)
        dark = self.enter(words, color_scheme="dark").open(path)
        self.keep(dark.page, "chat-dark", words)
        phone = self.enter(words, **PHONE).open(path)
        self.keep(phone.page, "chat-phone", words)
        window.page.locator('.bar [data-action="toggle-panel"]').click()
        window.page.get_by_role("textbox").nth(-1).wait_for()
        window.page.locator("#p-system").fill(words.system)
        self.keep(window.page, "panel", words)

    def settings(self, words: Words) -> None:
        window = self.enter(words)
        self.keep(window.open("/settings/").page, "settings", words)
        self.keep(window.open("/settings/users").page, "users", words)

    def keep(self, page: Page, name: str, words: Words) -> None:
        if self.names and name not in self.names:
            return
        page.wait_for_load_state("networkidle")
        page.evaluate("document.activeElement.blur()")
        page.wait_for_timeout(900)  # what moves has come to rest
        path = FOLDER / f"{name}{words.suffix}.png"
        page.screenshot(path=path)
        size = path.stat().st_size
        print(f"{path.relative_to(ROOT)}: {size / 1000:.0f} KB")
        assert size <= LARGEST, path


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
