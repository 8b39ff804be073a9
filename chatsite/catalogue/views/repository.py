"""The page of one repository of the hub, or of one file: what can be had, how it would run here,
and its download."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from chatsite.accounts.access import admin_only, person_of
from chatsite.catalogue import advice, copies, deliveries, hub, library, picking, subjects, troubles
from chatsite.catalogue.errors import Refused
from chatsite.catalogue.models import Model
from chatsite.catalogue.views.adding import begun, machines, refused, told_of, unmeasured
from chatsite.gateway.library import LibraryError, Repository, Variant

CONTEXTS = (2048, 4096, 8192, 16384, 32768, 65536, 131072)
# Seconds for which what a worker has read of a repository is good: other lengths are tried on it.
KEPT = 600
NAMES = ("repo", "revision", "quant", "file", "url")


def read(data: QueryDict) -> dict[str, str]:
    """What the page is about."""
    asked = {name: data.get(name, "").strip()[:2000].replace("\0", "") for name in NAMES}
    return {name: value for name, value in asked.items() if value}


def length(data: QueryDict) -> int:
    asked = data.get("context", "")
    return int(asked) if asked in {str(each) for each in CONTEXTS} else library.CONTEXT


def look(asked: dict[str, str]) -> Repository:
    """As a worker reads it; asked for again only after a while. LibraryError where it cannot be."""
    repo, revision, url = (asked.get(name, "") for name in ("repo", "revision", "url"))
    told = hub.told()
    key = f"look:{hash((repo, revision, url, told))}"
    found: Repository | None = cache.get(key)
    if found is None:
        found = weigh(url) if url else library.look(repo, revision)
        cache.set(key, found, KEPT)
    return found


def weigh(url: str) -> Repository:
    """One file at an address of its own."""
    library.parse(url)
    return Repository("", variants=(library.weigh(url),))


@admin_only
@require_safe
def repository(request: HttpRequest) -> HttpResponse:
    """Opens at once; what a worker reads of it comes afterwards."""
    asked = read(request.GET)
    if not ({"repo", "url"} & asked.keys()):
        return redirect("models-hub")
    entry = picking.entry_of(asked.get("repo", ""))
    context = {"asked": asked, "entry": entry, "query": urlencode(asked), **lengths(request)}
    return render(request, "catalogue/repository.html", context)


def lengths(request: HttpRequest) -> dict[str, Any]:
    return {"contexts": CONTEXTS, "context": length(request.GET)}


@admin_only
@require_safe
def variants(request: HttpRequest) -> HttpResponse:
    """What can be had of it, each as it would run here."""
    asked = read(request.GET)
    # What was chosen on the page already stays chosen.
    picked = request.GET.get("variant", "")[:2000]
    entry = picking.entry_of(asked.get("repo", ""))
    context: dict[str, Any] = {"asked": asked, "entry": entry, **lengths(request)}
    cards = machines()
    context["measuring"] = unmeasured(cards)
    # Where its terms are accepted: on the hub that is asked, which may be a mirror.
    context["hub_page"] = f"{hub.told().endpoint}/{asked.get('repo', '')}"
    try:
        found = look(asked)
    except LibraryError as error:
        context["trouble"] = troubles.explain(error.to_dict())
        context["kind"] = error.kind
        # What our own list knows is better than nothing.
        context["fits"] = picking.fits(entry, cards, context["context"]) if entry else []
        return render(request, "catalogue/variants.html", context)
    fits = library.fits(found.variants, cards, context["context"])
    here = {model.folder: model for model in Model.objects.filter(repo=found.repo)}
    folders = [subjects.folder_of(found.repo, found.revision, fit.variant) for fit in fits]
    context |= {
        "found": found,
        "fits": fits,
        "rows": [
            (library.as_measured(fit, here.get(folder), cards), here.get(folder))
            for fit, folder in zip(fits, folders, strict=True)
        ],
        "chosen": chosen(found, {**asked, "file": picked or asked.get("file", "")}, fits),
        "cards": cards,
        "advice": advice.on_weights(found.variants, cards),
    }
    return render(request, "catalogue/variants.html", context)


def chosen(found: Repository, asked: dict[str, str], fits: list[library.Fit]) -> int:
    """The number of the variant that is preselected: what was asked for, else what is best here."""
    quant, file = asked.get("quant", "").upper(), asked.get("file", "")
    paths = [{each.path for each in variant.files} for variant in found.variants]
    named = [number for number, files in enumerate(paths) if file in files]
    named += [n for n, variant in enumerate(found.variants) if quant == variant.quant.upper()]
    if named and (file or quant):
        return named[0]
    return next((number for number, fit in enumerate(fits) if fit.recommended), 0)


@admin_only
@require_POST
def download(request: HttpRequest) -> HttpResponse:
    """What was chosen on the page."""
    asked = read(request.POST)
    try:
        if url := asked.get("url"):
            library.parse(url)
            row = deliveries.begin_file(person_of(request), url, node=machine(request.POST))
        else:
            found = look(asked)
            variant = pick(found, request.POST.get("variant", ""))
            told = {"licence": found.licence, **told_of(found.repo)}
            node = machine(request.POST) or library.node_for(variant, length(request.POST))
            row = copies.arrive(person_of(request), found, variant, told, node)
    except LibraryError as error:
        entry = picking.entry_of(asked.get("repo", ""))
        context: dict[str, Any] = {"asked": asked, "entry": entry, "query": urlencode(asked)}
        trouble = troubles.explain(error.to_dict())
        context |= {"trouble": trouble, "contexts": CONTEXTS, "context": length(request.POST)}
        return render(request, "catalogue/repository.html", context)
    except Refused as error:
        return refused(request, error)
    return begun(request, row)


def machine(data: QueryDict) -> str:
    """The one that was chosen, where it answers. "": the one that suits best."""
    asked = data.get("node", "")
    return asked if asked in {worker.name for worker, _ in machines()} else ""


def pick(found: Repository, path: str) -> Variant:
    """By its first file: quantizations may have the same name twice."""
    for variant in found.variants:
        if variant.files and variant.files[0].path == path:
            return variant
    raise LibraryError("no_variant", quants=[asdict(each)["quant"] for each in found.variants])
