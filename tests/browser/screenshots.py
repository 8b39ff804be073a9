"""Makes the pictures in docs/screenshots of the running product, with the real model.

Run it with `python -m tests.browser.screenshots`. Nothing here is a test.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from inference.engines.weights import locate
from tests.browser.conftest import FLAGS
from tests.browser.window import STARTER, Watch, Window
from tests.hub.server import Hub
from tests.inference.weights import SOURCE
from tests.live import PASSWORD, ROOT, Person, Site

FOLDER = ROOT / "docs" / "screenshots"
LARGEST = 150_000
SCREEN = {"width": 1280, "height": 800}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
PEOPLE = """
import os
from chatsite.accounts.models import User
User.objects.create_superuser("bob", password=os.environ["WORD"])
User.objects.create_user("charlie", password=os.environ["WORD"])
"""


# The hub of the tests, as a mirror in the office.
HUB = """
import os
from chatsite.catalogue import hub
hub.change(os.environ["HUB"], [os.environ["FILES"]])
"""
REPO = "office/SmolLM2-135M-Instruct-GGUF"
# Bytes per second, so that a picture can be taken of a download.
PACE = 3e6

# The starter model writes English only; with this seed it is right, too.
QUESTION = "Write a Python function that returns the square of a number, and show how to call it."
SEED = 7


@dataclass(frozen=True, slots=True)
class Words:
    """Who is seen in the pictures of one language, and what stands in the list."""

    name: str
    locale: str
    suffix: str
    earlier: dict[str, str]
    title: str
    system: str


ENGLISH = Words(
    "alice",
    "en-US",
    "",
    {
        "What is a good name for a sailing boat?": "A name for the boat",
        "Give me three ideas for a rainy weekend.": "Ideas for a rainy weekend",
    },
    "A function for squares",
    "Answer briefly and in a friendly way.",
)
CHINESE = Words(
    "bob",
    "zh-CN",
    "-zh",
    {
        "What is a good name for a sailing boat?": "给帆船起个名字",
        "Give me three ideas for a rainy weekend.": "雨天周末做什么",
    },
    "求平方的函数",
    "回答要简短、友好。",
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
        self.people: dict[str, Person] = {}

    def shoot(self) -> None:
        for words in (ENGLISH, CHINESE):
            self.keep(self.window(words).open("/setup").page, "setup", words)
        self.product.person("alice")
        self.product.shell(PEOPLE, WORD=PASSWORD)
        for words in (ENGLISH, CHINESE):
            self.people[words.name] = Person(self.product, words.name)
            self.people[words.name].login()
            for tour, pictures in self.tours().items():
                if not self.names or set(self.names) & set(pictures):
                    tour(words)

    def tours(self) -> dict[Callable[[Words], None], tuple[str, ...]]:
        """And the pictures that each of them makes."""
        return {
            self.before: ("login", "empty"),
            self.chats: ("chat-light", "chat-dark", "chat-phone", "panel"),
            self.settings: ("settings", "users"),
            self.models: ("models-add", "machines", "models-fit", "models"),
        }

    def window(self, words: Words, **options: Any) -> Window:
        options = {"viewport": SCREEN, "locale": words.locale, "color_scheme": "light", **options}
        context = self.browser.new_context(**options)
        return Window(context, self.product, Watch(context, {"127.0.0.1"}), self.product.url)

    def enter(self, words: Words, **options: Any) -> Window:
        window = self.window(words, **options)
        window.enter(self.people[words.name])
        return window.open()

    def before(self, words: Words) -> None:
        self.keep(self.window(words).open("/login").page, "login", words)
        self.keep(self.enter(words).page, "empty", words)

    def ask(self, window: Window, words: Words, question: str, title: str, tokens: int) -> str:
        window.open()
        window.bound(tokens, SEED)
        window.page.locator("#p-temperature").evaluate("field => (field.value = 0.2)")
        window.say(question, STARTER)
        window.wait_done(180)
        path = f"/chat/{window.conversation}/"
        self.people[words.name].post(path + "rename", title=title)
        return path

    def chats(self, words: Words) -> None:
        window = self.enter(words)
        for question, title in words.earlier.items():
            self.ask(window, words, question, title, 30)
        path = self.ask(window, words, QUESTION, words.title, 220)
        window.page.wait_for_timeout(1500)
        self.keep(window.open(path).page, "chat-light", words)
        dark = self.enter(words, color_scheme="dark").open(path)
        self.keep(dark.page, "chat-dark", words)
        phone = self.enter(words, **PHONE).open(path)
        self.keep(phone.page, "chat-phone", words)
        window.page.locator('.bar [data-action="toggle-panel"]').click()
        window.page.locator("#p-system").fill(words.system)
        self.keep(window.page, "panel", words)

    def settings(self, words: Words) -> None:
        window = self.enter(words)
        self.keep(window.open("/settings/").page, "settings", words)
        self.keep(window.open("/settings/users").page, "users", words)

    def models(self, words: Words) -> None:
        """The list, the fit, a download, the machines."""
        window = self.enter(words)
        page = window.page
        self.measured(window)
        self.keep(window.open("/settings/models/add").page, "models-add", words)
        self.keep(window.open("/settings/machines").page, "machines", words)
        hub = Hub()
        try:
            weights = locate(SOURCE)
            hub.add(REPO, {"SmolLM2-135M-Instruct-Q4_1.gguf": weights})
            self.product.shell(HUB, HUB=hub.url, FILES=hub.files)
            window.open(f"/settings/models/repository?repo={REPO}")
            page.locator(".library-variant").first.wait_for(timeout=60_000)
            self.keep(page, "models-fit", words)
            hub.fail(where="files", method="GET", times=1000, pace=PACE)
            page.locator('#variants button[type="submit"]').click()
            page.locator(".library-facts > span:nth-child(3)").first.wait_for(timeout=60_000)
            page.wait_for_timeout(6000)
            self.keep(page, "models", words)
            page.once("dialog", lambda dialog: dialog.accept())
            page.locator('[id^="cancel-"]').click()
            page.locator('[id^="forget-"]').click(timeout=60_000)
        finally:
            hub.close()

    def measured(self, window: Window) -> None:
        """A machine is measured when it has nothing to do: some seconds after the start."""
        for _ in range(60):
            window.open("/settings/models/add")
            if window.page.locator(".library-entry .badge--success").count():
                return
            window.page.wait_for_timeout(2000)

    def keep(self, page: Page, name: str, words: Words) -> None:
        if self.names and name not in self.names:
            return
        # What is live asks again and again.
        if not page.locator("[data-poll]").count():
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
