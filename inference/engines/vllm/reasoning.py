"""The form of an answer that begins within reasoning: any text up to the mark that ends that, then
the answer's own form. Works on the text of grammars and knows no matcher."""

from __future__ import annotations

import re

from inference.pattern import literal

# What in a grammar is no name of a rule: texts, sets of characters, comments; and the rule itself.
PARTS = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\n]*|(?<![\w-])root(?![\w-])')
ANSWER = "the-answer-s-own-root"


def behind(gbnf: str, mark: str) -> str:
    """The grammar behind any text that ends with the first `mark`."""
    own = PARTS.sub(lambda found: ANSWER if found[0] == "root" else found[0], gbnf)
    rules = [f"root ::= {_state(0)}", *(_rule(mark, done) for done in range(len(mark)))]
    rules.append(f"{_state(len(mark))} ::= [ \\t\\n\\r]* {ANSWER}")
    return "\n".join([*rules, own])


def _rule(mark: str, done: int) -> str:
    """What may follow where the first `done` characters of the mark stand: its next one, another
    that begins it anew, or any other."""
    letters = sorted(set(mark))
    ways = [f"{literal(letter)} {_state(_next(mark, done, letter))}" for letter in letters]
    others = "".join(f"\\x{ord(letter):02X}" for letter in letters)
    return f"{_state(done)} ::= [^{others}] {_state(0)} | {' | '.join(ways)}"


def _next(mark: str, done: int, letter: str) -> int:
    """How much of the mark stands at the end when a letter comes."""
    text = mark[:done] + letter
    return next(size for size in range(len(text), -1, -1) if text.endswith(mark[:size]))


def _state(done: int) -> str:
    return f"the-reasoning-{done}"
