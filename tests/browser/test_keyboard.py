"""All of it from the keyboard, and input methods that use Enter for themselves."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.browser.window import ECHO, numbers

FOCUSED = """
() => { const e = document.activeElement;
  return e.dataset.action || e.id || e.name || e.className || e.localName; }
"""


def test_it_works(enter: Enter) -> None:
    window = enter()
    window.choose(ECHO)
    window.text.focus()
    keyboard = window.page.keyboard
    keyboard.type("one line")
    keyboard.press("Shift+Enter")
    keyboard.type("another line")
    expect(window.text).to_have_value("one line\nanother line")
    expect(window.turns).to_have_count(0)
    keyboard.press("Enter")
    expect(window.turns).to_have_count(2)
    window.wait_done()
    assert window.answer() == "one line\nanother line"
    expect(window.text).to_be_focused()
    expect(window.text).to_have_value("")
    keyboard.type(numbers(300))
    keyboard.press("Enter")
    expect(window.answers).to_have_count(2)
    window.wait_text(r"\b3\b")
    keyboard.press("Escape")
    window.wait_done(5)
    expect(window.answers.last.locator("[data-stats]")).to_contain_text("stopped")


def test_every_action_is_reached_by_tab(enter: Enter) -> None:
    window = enter()
    window.say("```\ncode\n```")
    window.wait_done()
    window.page.evaluate("document.activeElement.blur()")
    reached = set()
    for _ in range(400):
        window.page.keyboard.press("Tab")
        found = window.page.evaluate(FOCUSED)
        reached.add(found)
        if found == "text" and "toggle-panel" in reached and "copy-code" in reached:
            break
    wanted = {"toggle-sidebar", "search", "toggle-panel", "copy", "edit", "regenerate", "copy-code"}
    assert wanted <= reached, reached
    assert {"text", "sidebar__new"} <= reached


def test_focus_is_seen(enter: Enter) -> None:
    window = enter().ready()
    window.page.evaluate("document.activeElement.blur()")
    invisible = set()
    for _ in range(8):
        window.page.keyboard.press("Tab")
        style = "getComputedStyle(document.activeElement)"
        if window.page.evaluate(f"{style}.outlineStyle + {style}.boxShadow") == "nonenone":
            invisible.add(window.page.evaluate(FOCUSED))
    # The frame around a text field shows its focus instead of the field; the page itself has none.
    assert invisible <= {"search", "text", "is-app"}


def test_the_list_keeps_the_focus_when_it_is_drawn_anew(enter: Enter) -> None:
    window = enter().ready()
    window.say("a first one")
    window.wait_done()
    link = window.in_sidebar().locator("a")
    expect(link).not_to_contain_text("New chat")
    link.focus()
    other = enter()
    other.say("another one makes the list change")
    expect(window.in_sidebar(other.conversation)).to_be_visible()
    expect(link).to_be_focused()


def test_an_input_method_does_not_send(enter: Enter) -> None:
    window = enter()
    window.choose(ECHO)
    window.text.fill("nihao")
    window.text.evaluate(
        """area => {
          area.dispatchEvent(new CompositionEvent("compositionstart", { bubbles: true }));
          const key = { key: "Enter", bubbles: true, cancelable: true };
          area.dispatchEvent(new KeyboardEvent("keydown", { ...key, isComposing: true }));
          area.dispatchEvent(new CompositionEvent("compositionend", { bubbles: true }));
          area.dispatchEvent(new KeyboardEvent("keydown", { ...key, keyCode: 229 }));
        }"""
    )
    window.page.wait_for_timeout(500)
    expect(window.turns).to_have_count(0)
    expect(window.text).to_have_value("nihao")
    window.text.press("Enter")
    expect(window.turns).to_have_count(2)


def test_a_new_chat_by_keys(enter: Enter) -> None:
    window = enter()
    window.say("hello")
    window.wait_done()
    window.page.keyboard.press("Control+Shift+O")
    expect(window.page.locator("#empty")).to_be_visible()
