"""Whether what the curated list tells is still so: a worker looks each repository up on the hub. It
changes nothing: that does who looks after the list."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chatsite.catalogue import finding, library, troubles
from chatsite.catalogue.curated import Entry, Offer
from chatsite.gateway.library import LibraryError, Repository

# Asks the hub for a repository by its name.
Look = Callable[[str], Repository]

# Seconds for all of them.
LONGEST = 30 * 60.0
# Nobody is there to answer: the next question would fare no better.
HOPELESS = frozenset({"no_worker", "broker"})
# Trouble that a repository has, in contrast to the hub or the way to it.
ITS_OWN = frozenset({"missing", "gated", "no_access"})
# In a row: then the hub is away, and asking on would only take time.
MOST_FAILURES = 3
# Sizes that were read as text are rounded to a tenth of a unit, so the small ones are coarse.
ROUNDED = 0.06
SENTENCES = {
    "file": _("%(what)s is not there any more"),
    "size": _("%(what)s has %(found)s bytes, the list says %(told)s"),
    "licence": _("the licence is %(found)s, the list says %(told)s"),
    "gated": _("people have to accept its terms first, which the list does not say"),
    "open": _("it is open, the list says that people have to accept its terms first"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """`kind`: file, size, licence, gated, open; or that of the LibraryError which was the answer.
    `what`: a file; `told` and `found`: what the list says, and the hub."""

    kind: str
    what: str = ""
    told: str = ""
    found: str = ""
    error: dict[str, Any] | None = None

    def __str__(self) -> str:
        if self.error:
            return troubles.explain(self.error)
        unknown = gettext("nothing")
        return str(SENTENCES[self.kind]) % {
            "what": self.what,
            "told": self.told or unknown,
            "found": self.found,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """An entry that was looked up, and how the hub differs from what it tells."""

    entry: Entry
    differences: tuple[Difference, ...] = ()

    def lines(self) -> list[str]:
        if not self.differences:
            return [gettext("%(repo)s: as the list says") % {"repo": self.entry.repo}]
        return [f"{self.entry.repo}:", *(f"  {each}" for each in self.differences)]


def run(write: Callable[[str], object], query: str = "", look: Look | None = None) -> bool:
    """Check what the words find, and tell it line by line; whether all is as the list says."""
    entries = [entry for entry in finding.search(query) if entry.repo]
    seen = good = 0
    for report in check(entries, look):
        seen, good = seen + 1, good + (not report.differences)
        for line in report.lines():
            write(line)
    words = gettext("%(good)d of %(all)d as the list says, %(left)d not looked up.")
    write(words % {"good": good, "all": len(entries), "left": len(entries) - seen})
    return good == len(entries)


def check(entries: Iterable[Entry], look: Look | None = None) -> Iterator[Report]:
    """One after the other. It ends early where nobody answers, when the hub fails several times in
    a row or asks for a rest, and after half an hour."""
    look = look or library.look
    ends, failures = time.monotonic() + LONGEST, 0
    for entry in entries:
        try:
            yield Report(entry, tuple(differences(entry, look(entry.repo))))
            failures = 0
        except LibraryError as error:
            yield Report(entry, (Difference(error.kind, error=error.to_dict()),))
            failures = 0 if error.kind in ITS_OWN else failures + 1
            if error.kind in HOPELESS | {"rate_limited"} or failures >= MOST_FAILURES:
                return
        if time.monotonic() > ends:
            return


def differences(entry: Entry, found: Repository) -> Iterator[Difference]:
    # Where the list does not know, what is open is no news.
    if bool(found.gated) != bool(entry.gated):
        yield Difference("gated" if found.gated else "open")
    # The hub calls `other` what it has no short name for.
    if found.licence not in {"", "other", *entry.licence.split(", ")}:
        yield Difference("licence", told=entry.licence, found=found.licence)
    weights = (file for variant in found.variants for file in variant.files)
    sizes = {file.path: file.size for file in chain(weights, found.aside)}
    for offer in chain(entry.offers, entry.projectors):
        yield from _compare(offer, sizes)


def _compare(offer: Offer, sizes: Mapping[str, int]) -> Iterator[Difference]:
    gone = [path for path in offer.files if path not in sizes]
    if gone:
        yield from (Difference("file", path) for path in gone)
        return
    found = sum(sizes[path] for path in offer.files)
    if offer.size and found and not _same(offer, found):
        yield Difference("size", offer.files[0], str(offer.size), str(found))


def _same(offer: Offer, found: int) -> bool:
    return found == offer.size if offer.exact else abs(found - offer.size) <= ROUNDED * found
