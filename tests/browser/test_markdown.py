"""How answers are shown: code with colours, tables, formulas, folded reasoning."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Enter

CODE = (
    "Read this:\n\n```python\ndef double(number):\n    return number * 2  # twice\n```\n\n"
    "That is all."
)
TABLE = "| Planet | Moons |\n|:--|--:|\n| Earth | 1 |\n| Mars | 2 |\n\nend of table"


def test_it_works(enter: Enter) -> None:
    window = enter()
    window.say("# Heading\n\nSome **bold** and *slanted* words.\n\n- one\n- two\n\n> quoted\n\nend")
    window.wait_done()
    prose = window.answers.last.locator(".answer .prose")
    expect(prose.locator("h1")).to_have_text("Heading")
    expect(prose.locator("strong")).to_have_text("bold")
    expect(prose.locator("em")).to_have_text("slanted")
    expect(prose.locator("li")).to_have_count(2)
    expect(prose.locator("blockquote")).to_have_text("quoted")


def test_code_has_colours(enter: Enter) -> None:
    window = enter()
    window.say(CODE)
    window.wait_done()
    code = window.answers.last.locator(".code code")
    expect(code.locator(".hljs-keyword").first).to_have_text("def")
    expect(code).to_have_text("def double(number):\n    return number * 2  # twice\n")
    colours = code.evaluate(
        "code => [code, code.querySelector('.hljs-keyword')].map(e => getComputedStyle(e).color)"
    )
    assert colours[0] != colours[1]


def test_tables(enter: Enter) -> None:
    window = enter()
    window.say(TABLE)
    window.wait_done()
    table = window.answers.last.locator("table")
    expect(table.locator("th")).to_have_text(["Planet", "Moons"])
    expect(table.locator("td")).to_have_text(["Earth", "1", "Mars", "2"])
    right = table.locator("td").nth(1)
    assert right.evaluate("cell => getComputedStyle(cell).textAlign") in {"right", "end"}


def test_formulas_are_mathml(enter: Enter) -> None:
    window = enter()
    window.say(
        r"Inline $a^2 + b^2 = c^2$ and apart:" + "\n\n$$\\frac{1}{2}\\sqrt{x}$$\n\n$5 and $6"
    )
    window.wait_done()
    answer = window.answers.last
    expect(answer.locator("math")).to_have_count(2)
    expect(answer.locator("math mfrac")).to_have_count(1)
    expect(answer.locator("math msup").first).to_be_visible()
    expect(answer.locator(".answer .prose")).to_contain_text("$5 and $6")


def test_reasoning_is_folded(enter: Enter) -> None:
    window = enter()
    window.say("<think>first I count to three</think>The result is three.")
    window.wait_done()
    answer = window.answers.last
    assert window.answer() == "The result is three."
    thought = answer.locator(".thought")
    expect(thought).to_be_visible()
    expect(thought.locator(".thought__body")).to_be_hidden()
    thought.locator("summary").click()
    expect(thought.locator(".thought__body")).to_have_text("first I count to three")
    window.page.wait_for_timeout(1500)
    window.page.reload()
    expect(thought).to_be_visible()
    thought.locator("summary").click()
    expect(thought.locator(".thought__body")).to_have_text("first I count to three")
    assert window.answer() == "The result is three."


def test_the_same_after_a_reload(enter: Enter) -> None:
    window = enter()
    window.say(f"{CODE}\n\n{TABLE}")
    window.wait_done()
    prose = window.answers.last.locator(".answer .prose")
    expect(prose.locator(".hljs-keyword").first).to_be_visible()
    streamed = prose.inner_html()
    window.page.wait_for_timeout(1500)
    window.page.reload()
    expect(prose.locator(".hljs-keyword").first).to_be_visible()
    assert prose.inner_html() == streamed
