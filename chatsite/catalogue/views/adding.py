"""The pages on which a model is found: the curated list, the search on the hub, the box for an
address; and the one click that fetches what was found there."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from chatsite.accounts.access import admin_only, person_of
from chatsite.catalogue import curated, deliveries, finding, library, picking, troubles
from chatsite.catalogue.errors import HereAlreadyError, Refused, UnderwayError
from chatsite.catalogue.models import Delivery
from chatsite.gateway import library as gateway
from chatsite.gateway.library import LibraryError

LONGEST = 2000


def machines() -> list[library.Card]:
    """Who could run it; nobody where Redis does not answer."""
    try:
        return gateway.cards()
    except LibraryError:
        return []


def unmeasured(cards: list[library.Card]) -> bool:
    """Whether it will soon be known how fast the machines are. A worker measures its machine by
    llama.cpp's kernels, soon after its start."""
    machines = [machine for _worker, machine in cards]
    if any(machine.bandwidth for machine in machines):
        return False
    return any(machine.measurable and "llamacpp" in machine.engines for machine in machines)


def address(text: str) -> dict[str, str] | None:
    """The query of the page about what was typed, where that is an address and not words."""
    if "/" not in text:
        return None
    try:
        wanted = library.parse(text)
    except LibraryError:
        return None
    if wanted.url:
        return {"url": wanted.url}
    told = {"repo": wanted.repo, "revision": wanted.revision}
    told |= {"quant": wanted.quant, "file": wanted.file}
    return {key: value for key, value in told.items() if value}


def page_of(query: dict[str, str]) -> str:
    return f"{reverse('models-repository')}?{urlencode(query)}"


@admin_only
@require_safe
def add(request: HttpRequest) -> HttpResponse:
    """The curated list."""
    asked = request.GET
    query = asked.get("q", "").strip()[:LONGEST]
    filters = finding.Filters(
        kind=asked.get("kind", ""),
        family=asked.get("family", ""),
        language=asked.get("language", ""),
    )
    cards, wanted = machines(), address(query)
    context: dict[str, Any] = {
        "query": query,
        "filters": filters,
        "well": asked.get("well") == "on",
        "wanted": page_of(wanted) if wanted else "",
        "cards": cards,
        "measuring": unmeasured(cards),
        "context": library.CONTEXT,
        "total": len(curated.entries()),
    }
    context["choices"] = picking.choices(query, filters, cards=cards, well=context["well"])
    if request.headers.get("HX-Request"):
        return render(request, "catalogue/entries.html", context)
    context["kinds"] = curated.words("kinds")
    context["languages"] = curated.words("languages")
    context["families"] = curated.families()
    return render(request, "catalogue/add.html", context)


@admin_only
@require_safe
def hub(request: HttpRequest) -> HttpResponse:
    """The box for words and addresses; what the hub finds comes afterwards."""
    query = request.GET.get("q", "").strip()[:LONGEST]
    if query and "/" in query:
        try:
            library.parse(query)
        except LibraryError as error:
            trouble = troubles.explain(error.to_dict())
            context = {"query": query, "trouble": trouble}
            return render(request, "catalogue/hub_search.html", context)
        return redirect(page_of(address(query) or {}))
    return render(request, "catalogue/hub_search.html", {"query": query})


@admin_only
@require_safe
def found(request: HttpRequest) -> HttpResponse:
    """What the hub finds; a worker asks it."""
    query = request.GET.get("q", "").strip()[:LONGEST]
    context: dict[str, Any] = {"query": query, "rows": [], "trouble": ""}
    try:
        context["rows"] = library.search(query)
    except LibraryError as error:
        context["trouble"] = troubles.explain(error.to_dict())
    return render(request, "catalogue/found.html", context)


@admin_only
@require_POST
def fetch(request: HttpRequest) -> HttpResponse:
    """Download what the curated list offers: one click. A worker looks at the hub first, so that
    what comes is pinned."""
    text = request.POST.get("repo", "").strip()[:LONGEST]
    if quant := request.POST.get("quant", "").strip():
        text = f"{text}:{quant}"
    try:
        row = library.pull(person_of(request), text, told_of(request.POST.get("repo", "")))
    except LibraryError as error:
        messages.error(request, troubles.explain(error.to_dict()))
        return redirect(page_of(address(text) or {"repo": text}))
    except Refused as error:
        return refused(request, error)
    return begun(request, row)


def told_of(repo: str) -> dict[str, Any]:
    """What our list knows of a repository: for the model that it becomes."""
    entry = picking.entry_of(repo.strip())
    if entry is None:
        return {}
    # English, as a description is kept: one that is ours is translated when it is shown.
    return {"title": entry.name, "description": entry.description.english, "licence": entry.licence}


def refused(request: HttpRequest, error: Refused) -> HttpResponse:
    """What is there or on its way already is no mistake: there it is."""
    if isinstance(error, HereAlreadyError | UnderwayError):
        messages.info(request, str(error.text))
    else:
        messages.error(request, str(error.text))
    return redirect("models")


def begun(request: HttpRequest, row: Delivery) -> HttpResponse:
    row = deliveries.catch_up(row.pk)
    if row.is_live:
        messages.success(request, _("%(name)s is on its way.") % {"name": row.title})
    return redirect("models")
