"""What the chat page costs: requests, bytes, and the time until a long conversation is there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import Window
from tests.live import Person, Site

REQUESTS, KILOBYTES, SECONDS = 20, 300, 1.0
# Messages of a long conversation, and of one that is no longer than what a page shows at first; the
# long one's time by the other's.
LENGTH, SHORT, RATIO = 2000, 40, 1.5
# When the last answer stood there as Markdown, by the page's own clock.
RENDERED = """
new MutationObserver((_, observer) => {
  if (!document.querySelector(".turn:last-child .answer .prose strong")) return;
  window.rendered = performance.now();
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });
"""
LONG = """
from django.db.models import F
from django.utils import timezone
from chatsite.accounts.models import User
from chatsite.chat.models import Conversation, Message
from chatsite.gateway.models import Generation
bob, length = User.objects.get(username="bob"), int(os.environ["LENGTH"])
conversation = Conversation.objects.create(
    owner=bob, model="echo", title="Long", updated=timezone.now())
generations = Generation.objects.bulk_create(
    Generation(owner=bob, model="echo", request={}, status="done") for _ in range(length // 2))
answer = "Answer **{n}** with `code`, a list\\n\\n- one\\n- two\\n\\nand a paragraph of words. " * 3
messages = Message.objects.bulk_create(
    Message(conversation=conversation, role="assistant" if n % 2 else "user",
            content=(answer if n % 2 else "Question {n}").replace("{n}", str(n)),
            generation=generations[n // 2] if n % 2 else None)
    for n in range(length))
conversation.messages.exclude(pk=messages[0].pk).update(parent_id=F("id") - 1)
conversation.leaf = messages[-1]
conversation.save()
result = str(conversation.pk)
"""


@pytest.fixture(scope="module")
def long(site: Site) -> str:
    return conversation(site, LENGTH)


@pytest.fixture(scope="module")
def short(site: Site) -> str:
    return conversation(site, SHORT)


def conversation(site: Site, length: int) -> str:
    printed = site.shell(f"import os\n{LONG}\nprint(result)", LENGTH=str(length))
    return printed.split()[-1]


def measure(window: Window, path: str) -> tuple[list[str], float]:
    """The requests of one page in a browser that has cached nothing, and the kilobytes."""
    names: dict[str, str] = {}
    sizes: dict[str, float] = {}
    devtools = window.context.new_cdp_session(window.page)
    devtools.send("Network.enable")
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    devtools.on(
        "Network.requestWillBeSent",
        lambda event: names.update({event["requestId"]: event["request"]["url"]}),
    )
    devtools.on(
        "Network.loadingFinished",
        lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}),
    )
    window.open(path)
    window.page.wait_for_load_state("networkidle")
    # The icon of the tab is fetched outside of the page's view.
    return list(names.values()), sum(sizes.values()) / 1000


@pytest.fixture
def fresh(blank: Enter, people: dict[str, Person]) -> Callable[[], Window]:
    """A browser that has loaded nothing yet; Bob is logged in."""

    def make() -> Window:
        window = blank()
        window.enter(people["bob"])
        return window

    return make


@pytest.mark.parametrize("kind", ["empty", "code and formulas"])
def test_it_works(enter: Enter, fresh: Callable[[], Window], kind: str) -> None:
    path = "/chat/"
    if kind != "empty":
        window = enter()
        window.say("```python\nx = 1\n```\n\n$a^2$")
        window.wait_done()
        path = f"/chat/{window.conversation}/"
        # Its title is news for every open page; here the page by itself is measured.
        expect(window.in_sidebar()).not_to_contain_text("New chat")
    urls, kilobytes = measure(fresh(), path)
    print(f"\n{kind}: {len(urls)} requests, {kilobytes:.0f} KB (goal: {REQUESTS}, {KILOBYTES} KB)")
    assert 5 < len(urls) <= REQUESTS, "\n".join(urls)
    assert 20 < kilobytes <= KILOBYTES


def test_a_long_conversation_opens_at_once(
    fresh: Callable[[], Window], long: str, short: str
) -> None:
    """As soon as a short one: a time alone would be the machine's."""
    took: dict[int, list[float]] = {LENGTH: [], SHORT: []}
    for _ in range(5):
        for length, key in ((SHORT, short), (LENGTH, long)):
            window = fresh()
            window.page.add_init_script(RENDERED)
            window.open(f"/chat/{key}/")
            last = window.answers.last.locator(".answer strong").first
            expect(last).to_have_text(str(length - 1))
            took[length].append(window.page.evaluate("window.rendered") / 1000)
            window.close()
    ratio = min(took[LENGTH]) / min(took[SHORT])
    print(
        f"\n{LENGTH:,} messages: an answer is there after {min(took[LENGTH]):.2f} s (goal: "
        f"{SECONDS} s), {ratio:.2f} of the time of {SHORT}"
    )
    assert ratio < RATIO, took


def test_scrolling_up_brings_the_earlier_ones(enter: Enter, long: str) -> None:
    window = enter(path=f"/chat/{long}/")
    expect(window.turns).to_have_count(40)
    expect(window.answers.last.locator(".answer strong").first).to_be_in_viewport()
    window.page.locator("#scroller").hover()
    for count in (80, 120):
        window.page.mouse.wheel(0, -100_000)
        expect(window.turns).to_have_count(count)
    # What was read has not jumped away: the first of the older ones is above the window.
    assert window.page.locator("#scroller").evaluate("scroller => scroller.scrollTop") > 0
    texts = window.shown()
    assert texts[0] == f"Question {LENGTH - 120}"
    assert [text.split()[1] for text in texts[::2]] == [
        str(n) for n in range(LENGTH - 120, LENGTH, 2)
    ]
    assert window.page.locator("#thread .turn").evaluate_all(
        "all => new Set(all.map(turn => turn.id)).size"
    ) == len(texts)
