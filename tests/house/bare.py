"""Finds words that a person would read and nobody could translate. It judges sources, runs
nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser

LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True, slots=True)
class Bare:
    line: int
    words: str


# Templates

READ_ATTRIBUTES = {
    "title", "placeholder", "alt", "aria-label", "aria-valuetext", "aria-description",
    "aria-roledescription", "label", "summary", "data-confirm", "data-prompt",
}  # fmt: skip
UNSEEN = re.compile(
    r"\{#.*?#\}"
    r"|\{%\s*comment\b.*?\{%\s*endcomment\s*%\}"
    r"|\{%\s*blocktrans(?:late)?\b.*?\{%\s*endblocktrans(?:late)?\s*%\}"
    # A block for the classes of an element.
    r"|\{%\s*block\s+\w+_class\s*%\}.*?\{%\s*endblock\b.*?%\}",
    re.DOTALL,
)
# What a variable or an included file shows when it is written into the tag itself.
SPARE = re.compile(r"""(?:default|default_if_none|yesno|add):(["'])(.*?)\1""")
GIVEN = re.compile(r"""\b(?:title|text|label|hint|heading)=(["'])(.*?)\1""")
TAG = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)


def in_template(source: str) -> list[Bare]:
    page = _Page()
    page.feed(TAG.sub(_shown, UNSEEN.sub(_blank, source)))
    page.close()
    return page.found


def _blank(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _shown(match: re.Match[str]) -> str:
    tag = match[0]
    pattern = GIVEN if tag.startswith("{%") else SPARE
    return " ".join(words for _, words in pattern.findall(tag)) + _blank(match)


class _Page(HTMLParser):
    """Reads what is left of a template when its tags are gone."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Bare] = []
        self.machine = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.machine = tag in {"script", "style"}
        for name, value in attrs:
            if name in READ_ATTRIBUTES:
                self._judge(value or "")

    def handle_endtag(self, tag: str) -> None:
        self.machine = False

    def handle_data(self, data: str) -> None:
        if not self.machine:
            self._judge(data)

    def _judge(self, words: str) -> None:
        if LETTER.search(words):
            self.found.append(Bare(self.getpos()[0], " ".join(words.split())))


# Scripts

TRANSLATED = {"gettext", "ngettext", "pgettext", "npgettext", "gettext_noop"}
SAID = {"toast", "complain", "sayConnection", "sayPanel", "alert", "confirm", "prompt"}
SHOWN = {"textContent", "innerText", "innerHTML", "title", "placeholder", "alt", "ariaLabel"}
# As the keys of an object; `dataset.action = …` is for machines.
KEYS = SHOWN | {"action"}
COMPARISONS = {"==", "===", "!=", "!=="}
# Their strings are addresses inside the page.
LOOKUPS = {"byId", "find", "querySelector", "querySelectorAll", "getElementById", "getAttribute",
           "closest", "icon", "createElement"}  # fmt: skip
SENTENCE = re.compile(r"[A-Z][a-z'’]+(?:,? \w.*|.*[….!?])", re.DOTALL)
TOKEN = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)
    |(?P<regex>(?<=[(,=:\[!&|?{;])\s*/(?:\\.|\[(?:\\.|[^\]\n])*\]|[^/\\\n\[])+/[a-z]*)
    |(?P<name>[A-Za-z_$][\w$]*)
    |(?P<sign>=>|[=!]==?|[<>]=|\?\?=?|[-+|&]=|[(){}\[\];,:?=.])""",
    re.DOTALL | re.VERBOSE,
)


@dataclass(slots=True)
class _Open:
    """A bracket that is still open: of which call, and whether what stands in it is shown."""

    call: str
    shown: bool
    arguments: int = 0


def in_script(source: str) -> list[Bare]:
    found = []
    for match, calls, shown in _strings(source):
        words = re.sub(r"\$\{[^}]*\}", "", match[0][1:-1])
        if not LETTER.search(words) or calls & (TRANSLATED | LOOKUPS):
            continue
        if shown or SENTENCE.fullmatch(words):
            found.append(Bare(source.count("\n", 0, match.start()) + 1, words))
    return found


def _strings(source: str) -> Iterator[tuple[re.Match[str], set[str], bool]]:
    """Each string with the calls around it, and whether it goes where a person reads it."""
    stack = [_Open("", shown=False)]
    before = name = sign = ""
    for match in TOKEN.finditer(source):
        kind, text = match.lastgroup, match[0]
        if kind == "comment":
            continue
        top = stack[-1]
        if kind == "string":
            said = top.shown or (top.call == "setAttribute" and top.arguments == 1)
            said = said and not (before == "sign" and sign in COMPARISONS)
            yield match, {level.call for level in stack}, said
            if top.call == "setAttribute" and text[1:-1] not in READ_ATTRIBUTES:
                top.call = ""
        elif kind == "sign":
            _step(stack, text, name if before == "name" else "")
        if kind == "name":
            name = text
        elif kind == "sign":
            sign = text
        before = kind or ""


def _step(stack: list[_Open], sign: str, name: str) -> None:
    top = stack[-1]
    if sign in "([{":
        call = name if sign == "(" else ""
        stack.append(_Open(call, shown=call in SAID or (top.shown and sign == "(")))
    elif sign in ")]}":
        if len(stack) > 1:
            stack.pop()
        if sign == "}":
            stack[-1].shown = stack[-1].call in SAID
    elif sign in {";", ","}:
        top.arguments += sign == ","
        top.shown = top.call in SAID
    elif (sign in {"=", "+="} and name in SHOWN) or (sign == ":" and name in KEYS):
        top.shown = True


# Python

WORDS = {"label", "help_text", "verbose_name", "verbose_name_plural", "violation_error_message"}
# Which argument of these calls a person reads.
TOLD = {"ValidationError": 0, "success": 1, "error": 1, "warning": 1, "info": 1, "add_error": 1,
        "Refusal": 2}  # fmt: skip


def in_python(source: str) -> list[Bare]:
    tree = ast.parse(source)
    candidates = [argument for node in ast.walk(tree) for argument in _told(node)]
    return [
        Bare(node.lineno, node.value)
        for node in candidates
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and LETTER.search(node.value)
    ]


def _told(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Call):
        yield from (word.value for word in node.keywords if word.arg in WORDS)
        place = TOLD.get(_last_name(node.func), len(node.args))
        # `log.error("…", …)` speaks to the operator: its words come first.
        yield from node.args[place : place + 1] if not _is_log(node.func) else ()
    elif isinstance(node, ast.ClassDef):
        yield from _choices(node)


def _choices(node: ast.ClassDef) -> Iterator[ast.expr]:
    """The readable half of `MEMBER = "value", "Words"`."""
    if any("Choices" in _last_name(base) for base in node.bases):
        for line in node.body:
            if isinstance(line, ast.Assign) and isinstance(line.value, ast.Tuple):
                yield line.value.elts[-1]


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_log(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and _last_name(node.value) in {"log", "logger"}
