"""The curated list as this site's machines see it: how each model would run here, and what of it is
here already. It asks Redis about machines, never the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatsite.catalogue import curated, finding, library
from chatsite.catalogue.curated import Entry, Offer
from chatsite.catalogue.library import Card, Fit
from chatsite.catalogue.models import Delivery, Model
from chatsite.gateway.library import FileRef, Variant


@dataclass(frozen=True, slots=True)
class Choice:
    """One entry, its offers as they would run here, and which of them is chosen before anybody
    chooses. `here`: the model that it is on this site; `underway`: on its way."""

    entry: Entry
    fits: tuple[Fit, ...]
    here: Model | None = None
    underway: bool = False

    @property
    def best(self) -> Fit | None:
        marked = next((fit for fit in self.fits if fit.recommended), None)
        return marked or next(iter(self.fits), None)

    @property
    def rank(self) -> tuple[int, bool]:
        """Nobody looks for vectors first."""
        verdict = self.best.forecast.verdict if self.best else ""
        known = library.VERDICTS
        place = known.index(verdict) if verdict in known else len(known)
        return place, self.entry.kind == "embedding"


def choices(
    query: str = "",
    filters: finding.Filters | None = None,
    *,
    cards: Sequence[Card],
    well: bool = False,
    context: int = library.CONTEXT,
) -> list[Choice]:
    """What was searched for, what runs best here first; with `well` nothing else."""
    found = finding.search(query, filters)
    here, coming = _here(), _coming()
    listed = [
        Choice(
            entry,
            tuple(fits(entry, cards, context)),
            here.get(entry.key.casefold()),
            entry.repo.casefold() in coming,
        )
        for entry in found
    ]
    if well:
        listed = [each for each in listed if each.best and _is_well(each.best)]
    # Who searches for something wants it first, however it runs.
    return listed if query.strip() else sorted(listed, key=lambda each: each.rank)


def fits(entry: Entry, cards: Sequence[Card], context: int = library.CONTEXT) -> list[Fit]:
    return library.fits([variant(entry, each) for each in entry.offers], cards, context)


def variant(entry: Entry, offer: Offer) -> Variant:
    """As a forecast needs it; where only the size of the whole is known the first file has it."""
    sizes = [offer.size, *(0 for _ in offer.files[1:])]
    files = tuple(FileRef(path, size) for path, size in zip(offer.files, sizes, strict=False))
    return Variant(offer.quant, entry.format, files, entry.shapes)


def _is_well(fit: Fit) -> bool:
    return bool(fit.forecast.verdict == "runs_well")


def _here() -> dict[str, Model]:
    """By repository, or the package that it came in."""
    found = {}
    for model in Model.objects.filter(provider=None):
        source = model.source if isinstance(model.source, dict) else {}
        for key in (model.repo, source.get("package")):
            if isinstance(key, str) and key:
                found[key.casefold()] = model
    return found


def _coming() -> set[str]:
    rows = Delivery.objects.live().filter(kind=Delivery.Kind.DOWNLOAD)
    return {repo.casefold() for repo in rows.values_list("repo", flat=True) if repo}


def entry_of(repo: str) -> Entry | None:
    return curated.find(repo) if repo else None
