"""No words that a person reads stand outside of the translations: pages, scripts and code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house import bare
from tests.house.sources import name, ours

FINDERS = {".html": bare.in_template, ".js": bare.in_script, ".py": bare.in_python}
# What is the same in every language, each with its reason.
SAME_EVERYWHERE = {
    ("templates/chat/page.html", "Ctrl K"): "printed on the keys",
    ("templates/chat/page.html", "Ctrl+Shift+O"): "printed on the keys",
    ("templates/accounts/host_words.html", "CHATSITE_HOSTS="): "typed as it stands",
}


def find(path: Path) -> list[bare.Bare]:
    finder = FINDERS[path.suffix]
    return [found for found in finder(path.read_text()) if not excuse(path, found)]


def excuse(path: Path, found: bare.Bare) -> str | None:
    return SAME_EVERYWHERE.get((name(path), found.words))


def pages() -> list[Path]:
    return [path for path in ours(*FINDERS) if not name(path).startswith(("tests/", "inference/"))]


@pytest.mark.parametrize("path", pages(), ids=name)
def test_it_works(path: Path) -> None:
    assert find(path) == []


def test_every_excuse_is_still_needed() -> None:
    used = {
        (name(path), found.words)
        for path in pages()
        for found in FINDERS[path.suffix](path.read_text())
    }
    assert set(SAME_EVERYWHERE) <= used


PLANTED = [
    (bare.in_template, "<p>Hello</p>", "Hello"),
    (bare.in_template, "<p>{{ name }} is here</p>", "is here"),
    (bare.in_template, '<p>{{ name|default:"Nobody" }}</p>', "Nobody"),
    (bare.in_template, '<b title="{% if x %}Open{% endif %}"></b>', "Open"),
    (bare.in_template, '<input placeholder="Search">', "Search"),
    (bare.in_template, '{% include "act.html" with label="Delete" %}', "Delete"),
    (bare.in_template, '<script src="a.js"></script><p>After</p>', "After"),
    (bare.in_script, 'button.textContent = "Copy";', "Copy"),
    (bare.in_script, 'a.textContent = busy ? gettext("Wait") : "Go";', "Go"),
    (bare.in_script, 'b.setAttribute("aria-label", "Close");', "Close"),
    (bare.in_script, "toast(`${count} left`);", " left"),
    (bare.in_script, 'toast(gettext("Gone"), { action: "Undo" });', "Undo"),
    (bare.in_script, 'Object.assign(span, { textContent: "new" });', "new"),
    (bare.in_script, 'if (thinking) return "Thinking…";', "Thinking…"),
    (bare.in_script, 'const words = "Not saved";', "Not saved"),
    (bare.in_python, 'forms.CharField(label="Name")', "Name"),
    (bare.in_python, 'messages.success(request, "Saved.")', "Saved."),
    (bare.in_python, 'raise forms.ValidationError("Wrong.", code="wrong")', "Wrong."),
    (bare.in_python, 'class Kind(models.TextChoices):\n    CHAT = "chat", "Chat"', "Chat"),
]


@pytest.mark.parametrize(("finder", "source", "words"), PLANTED)
def test_it_finds_what_was_left_bare(
    finder: Callable[[str], list[bare.Bare]], source: str, words: str
) -> None:
    assert [found.words for found in finder(source)] == [words]


FINE = [
    (bare.in_template, '<p title="{% translate \'Open\' %}">{% translate "Hello" %} · 5</p>'),
    (
        bare.in_template,
        "{% blocktranslate count n=n %}One{% plural %}{{ n }}{% endblocktranslate %}",
    ),
    (bare.in_template, "{# why #}<style>p { color: red }</style>"),
    (bare.in_template, '{{ title|default:_("New chat") }}{{ day|date:"DATE_FORMAT" }}'),
    (bare.in_script, 'b.textContent = gettext("Copy"); b.className = "code__copy";'),
    (bare.in_script, 'b.setAttribute("aria-expanded", "true"); // Some words.'),
    (bare.in_script, 'heading.textContent = item.querySelector(".title")?.textContent ?? "";'),
    (bare.in_script, 'gauge.title = interpolate(gettext("%(used)s used"), fill, true);'),
    (bare.in_python, 'forms.CharField(label=_("Name")); log.error("Lost %s", id)'),
]


@pytest.mark.parametrize(("finder", "source"), FINE)
def test_it_leaves_the_rest_alone(finder: Callable[[str], list[bare.Bare]], source: str) -> None:
    assert finder(source) == []
