"""Texts as searchable words: one way of cutting for the index, the query and the hits.

Scripts that write no spaces are cut into overlapping pairs of characters, so that a word of two
Chinese characters is found wherever it stands; other scripts into lower-case words without accents.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

# Han, kana, Hangul, and the scripts of South East Asia that write no spaces.
DENSE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1100-\u11ff\u3005-\u3007\u3040-\u30ff\u3100-\u318f"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f"
    "\U0001b000-\U0001b16f\U00020000-\U0003ffff"
)
RUNS = re.compile(rf"(?P<dense>[{DENSE}]+)|[^\W_{DENSE}]+")
# A longer "word" is a key, a hash or an encoded file: its beginning is enough to find it.
LONGEST = 64
# PostgreSQL refuses a document with more than 1 MiB of distinct words.
MOST_BYTES = 500_000
MOST_HITS = 100


class _Folding(dict[int, int]):
    """Each character to one character (lower case, no accent, normal width), so positions stay."""

    def __missing__(self, code: int) -> int:
        if code > 0xFFFF:
            return code
        folded = unicodedata.normalize("NFKD", chr(code))
        folded = "".join(char for char in folded if not "\u0300" <= char <= "\u036f").lower()
        self[code] = ord(folded) if len(folded) == 1 else code
        return self[code]


_FOLDING = _Folding()


def compose(text: str) -> str:
    """The NFC form: a letter and its accent as one character."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def fold(text: str) -> str:
    """A composed text, of the same length, as words are compared in it."""
    return text.lower() if text.isascii() else text.translate(_FOLDING)


def words(text: str) -> list[str]:
    """The distinct words under which a text is found, in the order of the text."""
    found: dict[str, None] = {}
    size = 0
    for run in RUNS.finditer(fold(compose(text))):
        for word in _pairs(run.group()) if run["dense"] else (run.group()[:LONGEST],):
            if word not in found:
                size += len(word.encode(errors="replace")) + 1
                if size > MOST_BYTES:
                    return list(found)
                found[word] = None
    return list(found)


def _pairs(run: str) -> Iterator[str]:
    """`abc` as ab, bc, c: every character begins some word, so that one alone is a prefix."""
    return (run[at : at + 2] for at in range(len(run)))


@dataclass(frozen=True, slots=True)
class Term:
    """One word that has to occur; as a prefix where the reader may still be typing it."""

    word: str
    prefix: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What a reader looks for: terms for the index, whole runs to verify and to mark."""

    terms: tuple[Term, ...]
    runs: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Query:
        terms: dict[Term, None] = {}
        matches = list(RUNS.finditer(fold(compose(text))))[:16]
        for match in matches:
            run = match.group()[:LONGEST]
            if match["dense"] and len(run) > 1:
                terms.update((Term(pair), None) for pair in list(_pairs(run))[:-1])
            else:
                last = match is matches[-1] and match.end() == len(text.rstrip())
                terms[Term(run, prefix=bool(match["dense"]) or last)] = None
        return cls(tuple(terms), tuple(match.group()[:LONGEST] for match in matches))

    @property
    def is_vague(self) -> bool:
        """Pairs of a longer run may stand apart in a text: such hits have to be verified."""
        return any(len(run) > 2 and _is_dense(run) for run in self.runs)

    def finder(self) -> Callable[[str], list[tuple[int, int]]]:
        """Finds where the runs stand in a folded text, in order, without overlaps."""
        longest_first = sorted(self.runs, key=len, reverse=True)
        pattern = re.compile("|".join(map(_anchor, longest_first)))
        return lambda folded: [m.span() for m in islice(pattern.finditer(folded), MOST_HITS)]

    def matcher(self) -> Callable[[str], bool]:
        """Tells whether every run of the query stands in a text."""
        patterns = [re.compile(_anchor(run)) for run in self.runs]

        def matches(text: str) -> bool:
            folded = fold(compose(text))
            return all(pattern.search(folded) for pattern in patterns)

        return matches


def _anchor(run: str) -> str:
    """A dense run stands anywhere; a word begins where no other character of a word precedes."""
    return re.escape(run) if _is_dense(run) else rf"(?<![^\W_{DENSE}]){re.escape(run)}"


def _is_dense(run: str) -> bool:
    match = RUNS.match(run)
    return match is not None and match["dense"] is not None
