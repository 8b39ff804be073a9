"""A regular expression as a rule of a grammar: what it matches, as it is or spelled inside a JSON
string. It is read by the standard library's own parser and never run."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

# The tree that the standard library makes of an expression; it has no public name any more.
_parser: Any = importlib.import_module("re._parser")

Ranges = list[tuple[int, int]]
# One character of some ranges, as the grammar says it.
Spelling = Callable[[Ranges], str]

LAST = 0x10FFFF
CATEGORIES: dict[str, Ranges] = {
    "CATEGORY_DIGIT": [(0x30, 0x39)],
    "CATEGORY_WORD": [(0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)],
    "CATEGORY_SPACE": [(9, 13), (0x20, 0x20)],
}
LINE_ENDS: Ranges = [(10, 10), (13, 13)]
# What JSON spells with a backslash, or not at all: control characters and half pairs.
SPELLED = {0x22: '"', 0x5C: "\\", 8: "b", 9: "t", 10: "n", 12: "f", 13: "r"}
BARRED: Ranges = [(0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F), (0xD800, 0xDFFF)]
# What is no character of a text: zero bytes and half pairs.
UNSPOKEN: Ranges = [(0, 0), (0xD800, 0xDFFF)]
# What the grammar's own counters take.
REPEAT = 1000


class PatternError(Exception):
    """No expression, or one that no grammar can say. The text is ours."""


def to_rule(pattern: Any, char: str) -> str:
    """The rule's body; `char` is the name of the rule for any character of a JSON string."""
    tree, begins, ends = _parse(pattern)
    body = _sequence(tree, _quoted)
    # What is not anchored may stand anywhere.
    return " ".join(["" if begins else f"{char}*", body, "" if ends else f"{char}*"]).strip()


def to_text_rule(pattern: str) -> str:
    """The body of a rule for a text that matches as a whole."""
    return _sequence(_parse(pattern)[0], _bare)


def _parse(pattern: Any) -> tuple[list[Any], bool, bool]:
    """Without its anchors, and whether it has them at its beginning and at its end."""
    if not isinstance(pattern, str):
        raise PatternError("A pattern is no text.")
    try:
        tree = list(_parser.parse(pattern))
    except (re.error, OverflowError, RecursionError):
        raise PatternError("A pattern is no regular expression.") from None
    begins = bool(tree) and _mark(tree[0]) in {"AT_BEGINNING", "AT_BEGINNING_STRING"}
    ends = bool(tree) and _mark(tree[-1]) in {"AT_END", "AT_END_STRING"}
    return tree[begins : len(tree) - ends], begins, ends


def literal(text: str) -> str:
    """A text as the grammar spells it."""
    return '"' + "".join(_spell(c) for c in text) + '"'


def _spell(c: str) -> str:
    if c in '"\\':
        return "\\" + c
    return c if c.isprintable() else f"\\U{ord(c):08X}"


def _mark(node: tuple[Any, Any]) -> str:
    return str(node[1]) if str(node[0]) == "AT" else ""


def _sequence(nodes: Any, spell: Spelling) -> str:
    return " ".join(_node(str(op), value, spell) for op, value in nodes) or '""'


def _node(op: str, value: Any, spell: Spelling) -> str:
    ranges = _ranges(op, value)
    if ranges is not None:
        return spell(ranges)
    if op == "BRANCH":
        return "(" + " | ".join(_sequence(branch, spell) for branch in value[1]) + ")"
    if op == "SUBPATTERN":
        return f"({_sequence(value[-1], spell)})"
    if op in {"MAX_REPEAT", "MIN_REPEAT"}:
        least, most, nodes = value
        return _repeat(least, most, nodes, spell)
    raise PatternError("A pattern looks around or back, which no grammar can say.")


def _ranges(op: str, value: Any) -> Ranges | None:
    """The characters of a node that is one character."""
    if op == "LITERAL":
        return [(value, value)]
    if op == "NOT_LITERAL":
        return _others([(value, value)])
    if op == "ANY":
        return _others(LINE_ENDS)
    return _set(value) if op == "IN" else None


def _repeat(least: int, most: Any, nodes: Any, spell: Spelling) -> str:
    # The parser's own number stands for "no limit".
    endless = most == _parser.MAXREPEAT
    if least > REPEAT or (not endless and most > REPEAT):
        raise PatternError("A pattern repeats more often than an answer can.")
    return f"({_sequence(nodes, spell)}){{{least},{'' if endless else int(most)}}}"


def _set(items: Any) -> Ranges:
    ranges: Ranges = []
    negated = False
    for each, value in items:
        op = str(each)
        if op == "NEGATE":
            negated = True
        elif op == "LITERAL":
            ranges.append((value, value))
        elif op == "RANGE":
            ranges.append((value[0], value[1]))
        else:
            name = str(value)
            plain = CATEGORIES.get(name.replace("_NOT_", "_"), [])
            ranges += _others(plain) if "_NOT_" in name else plain
    return _others(ranges) if negated else ranges


def _others(ranges: Ranges) -> Ranges:
    """Every character that is in none of the ranges."""
    found, at = [], 0
    for low, high in sorted(ranges):
        if low > at:
            found.append((at, low - 1))
        at = max(at, high + 1)
    return [*found, (at, LAST)] if at <= LAST else found


def _bare(ranges: Ranges) -> str:
    """One character of the ranges as it is."""
    found = _others([*_others(ranges), *UNSPOKEN])
    if not found:
        raise PatternError("A pattern asks for a character that no text can have.")
    return _span(found)


def _span(ranges: Ranges) -> str:
    return "[" + "".join(f"\\U{low:08X}-\\U{high:08X}" for low, high in ranges) + "]"


def _quoted(ranges: Ranges) -> str:
    """One character of the ranges as JSON writes it."""
    bare = _others([*_others(ranges), *BARRED])
    choices = [
        '"\\\\' + ("\\" if c in '"\\' else "") + c + '"'
        for code, c in SPELLED.items()
        if any(low <= code <= high for low, high in ranges)
    ]
    if bare:
        choices.insert(0, _span(bare))
    if not choices:
        raise PatternError("A pattern asks for a character that no text can have.")
    return choices[0] if len(choices) == 1 else "(" + " | ".join(choices) + ")"
