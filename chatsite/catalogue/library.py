"""What an admin asks of the hub before anything is fetched: what there is, what it would need on
the machines that are here, and which of it to take. A worker asks the hub, never this process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from chatsite.accounts.models import User
from chatsite.catalogue import deliveries, hub
from chatsite.catalogue.models import Delivery, Model
from chatsite.gateway import engines, library
from chatsite.gateway.engines import WorkerState
from chatsite.gateway.library import LibraryError, Machine, Repository, Variant

# Tokens of a conversation for which the need is told where nobody chose.
CONTEXT = 8192
# Seconds that somebody waits for the hub, with all that the worker reads of a repository.
PATIENCE = 30.0
# The best first.
VERDICTS = ("runs_well", "runs_slowly", "unknown", "no_engine", "does_not_fit")

Card = tuple[WorkerState, Machine]


@dataclass(frozen=True, slots=True)
class Fit:
    """How a variant would run on the machine that suits it best, and on the `others`. `node` "":
    nobody has reported."""

    variant: Variant
    forecast: library.Forecast
    node: str = ""
    recommended: bool = False
    others: tuple[Fit, ...] = ()


def parse(text: str) -> library.Wanted:
    """What was typed or pasted. LibraryError where that is no model, or on no allowed host."""
    return library.parse(text, hub.told())


def search(query: str, limit: int = 30, format: str = "gguf") -> list[Repository]:
    """Repositories of the hub, as it orders them, without their variants. LibraryError where nobody
    can be asked."""
    wanted: dict[str, Any] = {"query": query, "limit": limit, "format": format}
    told = library.ask("search", timeout=PATIENCE, hub=hub.told(), **wanted)
    return [Repository.from_dict(each) for each in told]


def look(repo: str, revision: str = "") -> Repository:
    """LibraryError where it is not there, not ours to see, or nobody can be asked."""
    told = library.ask("look", timeout=PATIENCE, hub=hub.told(), repo=repo, revision=revision)
    return Repository.from_dict(told)


def weigh(url: str) -> Variant:
    """What a direct address leads to, by its header alone."""
    told = library.ask("weigh", timeout=PATIENCE, hub=hub.told(), url=url)
    return Variant.from_dict(told)


def fits(
    variants: Sequence[Variant], cards: Sequence[Card] | None = None, context: int = CONTEXT
) -> list[Fit]:
    """Each on the machine where it runs best, the one to take marked. It asks nobody but Redis."""
    known = library.cards() if cards is None else cards
    found = [_best(variant, known, context) for variant in variants]
    chosen = library.recommend([(fit.variant, fit.forecast) for fit in found])
    return [replace(fit, recommended=number == chosen) for number, fit in enumerate(found)]


def as_measured(fit: Fit, model: Model | None, cards: Sequence[Card]) -> Fit:
    """Where it has run already, what was seen replaces what was foretold."""
    workers = [worker for worker, _ in cards]
    speed = engines.remembered(workers, model.name) if model else 0.0
    if not speed or fit.forecast.verdict == "does_not_fit":
        return fit
    seen = replace(fit.forecast, tokens_per_second=speed, verdict=library.word_of(speed))
    return replace(fit, forecast=seen)


def node_for(variant: Variant, context: int = CONTEXT) -> str:
    """Which of several machines is to have it: where it runs best. "": there is no choice."""
    cards = library.cards()
    return _best(variant, cards, context).node if len(cards) > 1 else ""


def _best(variant: Variant, cards: Sequence[Card], context: int) -> Fit:
    found = [
        Fit(variant, library.forecast(variant, machine, context), worker.name)
        for worker, machine in cards
    ]
    if not found:
        return Fit(variant, library.Forecast())
    best, *others = sorted(found, key=_rank)
    return replace(best, others=tuple(others))


def _rank(fit: Fit) -> tuple[int, float]:
    verdict = fit.forecast.verdict
    place = VERDICTS.index(verdict) if verdict in VERDICTS else len(VERDICTS)
    return place, -(fit.forecast.tokens_per_second or 0.0)


def pull(
    user: User | None, text: str, about: dict[str, Any] | None = None, context: int = CONTEXT
) -> Delivery:
    """Begin to fetch what was typed: of a repository the quantization or the file that was named,
    else the recommended one. LibraryError or Refused where that cannot be."""
    wanted = parse(text)
    if wanted.url:
        return deliveries.begin_file(user, wanted.url, about)
    found = look(wanted.repo, wanted.revision)
    variant = choose(found, wanted, context)
    told = {"licence": found.licence, **(about or {})}
    node = node_for(variant, context)
    return deliveries.begin_download(user, found.repo, found.revision, variant, told, node)


def choose(found: Repository, wanted: library.Wanted, context: int = CONTEXT) -> Variant:
    """LibraryError `missing` where the repository has no such variant."""
    if wanted.file:
        paths = [(v, {file.path for file in v.files}) for v in found.variants]
        named = [variant for variant, files in paths if wanted.file in files]
    elif wanted.quant:
        named = [v for v in found.variants if v.quant.upper() == wanted.quant.upper()]
    else:
        offers = fits(found.variants, context=context)
        named = [fit.variant for fit in offers if fit.recommended] or list(found.variants)
    if not named:
        raise LibraryError("no_variant", repo=found.repo, quants=[v.quant for v in found.variants])
    return named[0]
