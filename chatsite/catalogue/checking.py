"""Whether what the curated list tells is still so: a worker looks each repository up on the hub. It
changes nothing: that does who looks after the list."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from chatsite.catalogue import finding, library
from chatsite.catalogue.curated import Entry, Offer
from chatsite.catalogue.library import Repository
from chatsite.gateway.library import LibraryError

# Asks the hub for a repository by its name.
Look = Callable[[str], Repository]

# Seconds for all of them.
LONGEST = 30 * 60.0
# Nobody is there to answer: the next question would fare no better.
HOPELESS = frozenset({"no_worker", "broker"})
# Trouble that a repository has, in contrast to the hub or the way to it.
ITS_OWN = frozenset({"missing", "gated", "no_access"})
ANSWERS = ITS_OWN | {"file", "size", "licence"}
# In a row: then the hub is away, and asking on would only take time.
MOST_FAILURES = 3
# Sizes that were read as text are rounded to a tenth of a unit, so the small ones are coarse.
ROUNDED = 0.06


@dataclass(frozen=True, slots=True)
class Difference:
    """`kind`: missing, no_access, gated, file, size, licence; or that of a LibraryError, then the
    question was not answered. `told` and `found` are the list's and the hub's, as text."""

    kind: str
    what: str = ""
    told: str = ""
    found: str = ""

    def __str__(self) -> str:
        line = f"{self.kind} {self.what}".strip()
        return f"{line}: {self.told or 'unknown'} -> {self.found}" if self.found else line


@dataclass(frozen=True, slots=True)
class Report:
    """An entry that was looked up, and how the hub differs from what it tells."""

    entry: Entry
    differences: tuple[Difference, ...] = ()

    def lines(self) -> list[str]:
        state = "differs" if self.differences else "ok"
        if any(each.kind not in ANSWERS for each in self.differences):
            state = "failed"
        return [f"{state:8}{self.entry.repo}", *(f"        {each}" for each in self.differences)]


def run(write: Callable[[str], object], query: str = "", look: Look | None = None) -> bool:
    """Check what the words find, and tell it line by line; whether all is as the list says."""
    entries = [entry for entry in finding.search(query) if entry.repo]
    seen = good = 0
    for report in check(entries, look):
        seen, good = seen + 1, good + (not report.differences)
        for line in report.lines():
            write(line)
    write(f"{good} of {len(entries)} as the list says, {len(entries) - seen} not looked up.")
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
            yield Report(entry, (Difference(error.kind, _facts(error)),))
            failures = 0 if error.kind in ITS_OWN else failures + 1
            if error.kind in HOPELESS | {"rate_limited"} or failures >= MOST_FAILURES:
                return
        if time.monotonic() > ends:
            return


def differences(entry: Entry, found: Repository) -> Iterator[Difference]:
    # Where the list does not know, what is open is no news.
    if found.gated != bool(entry.gated):
        told = {None: "", True: "gated", False: "open"}[entry.gated]
        yield Difference("gated", told=told, found="gated" if found.gated else "open")
    if found.licence and found.licence not in entry.licence.split(", "):
        yield Difference("licence", told=entry.licence, found=found.licence)
    sizes = {file.path: file.size for variant in found.variants for file in variant.files}
    for offer in entry.offers:
        yield from _compare(offer, sizes)


def _compare(offer: Offer, sizes: Mapping[str, int]) -> Iterator[Difference]:
    gone = [path for path in offer.files if path not in sizes]
    if gone:
        yield from (Difference("file", path) for path in gone)
        return
    found = sum(sizes[path] for path in offer.files)
    if offer.size and found and not _same(offer, found):
        sign = "" if offer.exact else "about "
        yield Difference("size", offer.files[0], f"{sign}{offer.size}", str(found))


def _same(offer: Offer, found: int) -> bool:
    return found == offer.size if offer.exact else abs(found - offer.size) <= ROUNDED * found


def _facts(error: LibraryError) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(error.facts.items()))
