"""Search in the curated list: by words in English and Chinese, and by what a model has to be."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from chatsite.catalogue import curated
from chatsite.catalogue.curated import Entry, Text

# Letters and numbers, or Chinese, which stands without spaces.
PIECE = re.compile(r"[\u3400-\u9fff]+|(?:(?![\u3400-\u9fff])\w)+(?:\.\w+)*")
CHINESE = re.compile(r"[\u3400-\u9fff]")
# A longer question is cut off: nobody types one.
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """What an entry has to be; "" is anything."""

    kind: str = ""
    family: str = ""
    format: str = ""
    language: str = ""
    strength: str = ""

    def admit(self, entry: Entry) -> bool:
        return (
            self.kind in {"", entry.kind}
            and self.family in {"", entry.family}
            and self.format in {"", entry.format}
            and self.language in {"", *entry.languages}
            and self.strength in {"", *entry.strengths}
        )


@dataclass(frozen=True, slots=True)
class Index:
    """What can be found of an entry: the words of its name, all its words, and its Chinese."""

    name: frozenset[str]
    words: frozenset[str]
    chinese: str


def search(
    query: str = "", filters: Filters | None = None, among: Iterable[Entry] | None = None
) -> list[Entry]:
    """Those that have every word of the query, or begin one with it; first those that have most of
    them in their name, else in the list's order."""
    filters = filters or Filters()
    pieces = _pieces(query[:LONGEST])
    found = []
    for entry in curated.entries() if among is None else among:
        index = _index(entry)
        if filters.admit(entry) and all(_has(index, piece) for piece in pieces):
            found.append((sum(not _begins(index.name, piece) for piece in pieces), entry))
    return [entry for _, entry in sorted(found, key=lambda each: each[0])]


def _pieces(text: str) -> list[str]:
    return PIECE.findall(unicodedata.normalize("NFKC", text).casefold())


def _has(index: Index, piece: str) -> bool:
    return _covers(index.chinese, piece) if CHINESE.match(piece) else _begins(index.words, piece)


def _begins(words: frozenset[str], piece: str) -> bool:
    return piece in words or any(word.startswith(piece) for word in words)


def _covers(text: str, run: str) -> bool:
    """Whether a run of Chinese is made of pieces of the text of two signs and more each: who types
    two words without a space means both."""
    if run in text:
        return True
    reached = {0}
    for end in range(2, len(run) + 1):
        if any(end - start >= 2 and run[start:end] in text for start in reached):
            reached.add(end)
    return len(run) in reached


@lru_cache(maxsize=2000)
def _index(entry: Entry) -> Index:
    name = _pieces(f"{entry.name} {entry.family}")
    words = {*name, *_pieces(" ".join([entry.repo, entry.base, entry.licence, entry.format]))}
    words.update(word for offer in entry.offers for word in _pieces(offer.quant))
    texts = [entry.kind_text, entry.publisher, entry.description]
    texts += [*entry.strength_texts, *entry.language_texts]
    words.update(word for text in texts for word in _pieces(text.english))
    return Index(frozenset(name), frozenset(words), _chinese(texts))


def _chinese(texts: Iterable[Text]) -> str:
    return unicodedata.normalize("NFKC", "\n".join(each.chinese for each in texts)).casefold()
