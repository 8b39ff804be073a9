"""The pages of one model: what it is called, who may use it, how it answers; loading, trying,
exporting, deleting."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chatsite.accounts.access import admin_only, person_of
from chatsite.catalogue import actions, aliases, copies, deliveries, own, showing, trials
from chatsite.catalogue.errors import (
    AliasTakenError,
    BadDefaultError,
    BadNameError,
    ModelNameTakenError,
    PathError,
    Refused,
)
from chatsite.catalogue.load_forms import form_of
from chatsite.catalogue.model_forms import ModelForm
from chatsite.catalogue.models import Model
from chatsite.catalogue.views.models import fragment

door = require_http_methods(["GET", "HEAD", "POST"])


def find(pk: int) -> Model:
    return get_object_or_404(Model.objects.select_related("provider"), pk=pk)


@admin_only
@door
def model(request: HttpRequest, pk: int) -> HttpResponse:
    found = find(pk)
    if request.method != "POST":
        return show(request, found, form_of(found))
    form = form_of(found, request.POST)
    if form.is_valid():
        try:
            actions.change(pk, form.facts())
        except (ModelNameTakenError, BadNameError, AliasTakenError, BadDefaultError) as error:
            form.add_error(field_of(error, found, form), words_of(error))
        else:
            messages.success(request, _("Saved."))
            return redirect("models-one", pk)
    return show(request, found, form)


def field_of(error: Refused, found: Model, form: ModelForm) -> str:
    """Which field a refusal is about."""
    if isinstance(error, ModelNameTakenError):
        return "name"
    if isinstance(error, BadDefaultError):
        return error.name if error.name in form.fields else "stop"
    is_name = isinstance(error, BadNameError) and error.name == form.cleaned_data["name"].strip()
    return "name" if is_name and error.name != found.name else "aliases"  # type: ignore[attr-defined]


def words_of(error: Refused) -> str:
    name = getattr(error, "name", "")
    return f"{name}: {error.text}" if isinstance(error, AliasTakenError) else str(error.text)


def show(request: HttpRequest, found: Model, form: ModelForm, **more: Any) -> HttpResponse:
    context = {
        "model": found,
        "form": form,
        "line": showing.one(found),
        "spots": copies.spots(found),
        "is_own": own.is_own(found),
        "frees": actions.freed_by(found),
        "example": f"/mnt/stick/{aliases.spell(found.name)}.tar",
        "exports": found.deliveries.filter(kind="export").order_by("-created")[:1],
        **more,
    }
    return render(request, "catalogue/model.html", context)


@admin_only
@require_safe
def state(request: HttpRequest, pk: int) -> HttpResponse:
    found = find(pk)
    context = {"model": found, "line": showing.one(found)}
    return fragment(request, "catalogue/model_state.html", context)


@admin_only
@require_POST
def load(request: HttpRequest, pk: int) -> HttpResponse:
    return step(request, pk, loads=True)


@admin_only
@require_POST
def unload(request: HttpRequest, pk: int) -> HttpResponse:
    return step(request, pk, loads=False)


def step(request: HttpRequest, pk: int, *, loads: bool) -> HttpResponse:
    found = find(pk)
    trouble = ""
    try:
        if loads:
            actions.load_now(person_of(request), found)
        else:
            actions.unload_now(found)
    except Refused as error:
        trouble = str(error.text)
    if request.headers.get("HX-Request"):
        context = {
            "model": found,
            "line": showing.one(found),
            "trouble": trouble,
            "asked": "" if trouble else "load" if loads else "unload",
        }
        return render(request, "catalogue/model_state.html", context)
    if trouble:
        messages.error(request, trouble)
    return redirect("models-one", pk)


@admin_only
@require_POST
def attempt(request: HttpRequest, pk: int) -> HttpResponse:
    """A prompt to try it with."""
    found = find(pk)
    prompt = request.POST.get("prompt", "").strip()
    if not prompt:
        return render(request, "catalogue/trial.html", {"model": found})
    begun = trials.begin(person_of(request), found, prompt)
    context = {"model": found, "trial": trials.look(person_of(request), begun)}
    return render(request, "catalogue/trial.html", context)


@admin_only
@require_http_methods(["GET", "HEAD", "POST"])
def trial(request: HttpRequest, pk: int, key: UUID) -> HttpResponse:
    """How the answer stands; sending stops it."""
    found = find(pk)
    if request.method == "POST":
        trials.stop(person_of(request), key)
    looked = trials.look(person_of(request), key)
    if looked is None:
        raise Http404
    return render(request, "catalogue/trial.html", {"model": found, "trial": looked})


@admin_only
@require_safe
def places(request: HttpRequest, pk: int) -> HttpResponse:
    """Which machines have its files, and which could get them."""
    found = find(pk)
    context = {"model": found, "spots": copies.spots(found)}
    return fragment(request, "catalogue/model_places.html", context)


@admin_only
@require_POST
def copy(request: HttpRequest, pk: int) -> HttpResponse:
    """To a machine that lacks its files, from one that has them."""
    found = find(pk)
    trouble = ""
    try:
        copies.begin(person_of(request), found, request.POST.get("node", "")[:200])
    except Refused as error:
        trouble = str(error.text)
    if request.headers.get("HX-Request"):
        context = {"model": found, "spots": copies.spots(found), "trouble": trouble}
        return render(request, "catalogue/model_places.html", context)
    if trouble:
        messages.error(request, trouble)
    return redirect("models-one", pk)


@admin_only
@require_POST
def export(request: HttpRequest, pk: int) -> HttpResponse:
    found = find(pk)
    path = request.POST.get("path", "").strip()
    try:
        deliveries.begin_export(person_of(request), found, path)
    except PathError as error:
        return show(request, found, form_of(found), export_path=path, export_error=error.text)
    except Refused as error:
        messages.error(request, str(error.text))
        return redirect("models-one", pk)
    messages.success(request, _("The bundle is being written."))
    return redirect("models")


@admin_only
@door
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks once more on a page of its own: the files are gone then."""
    found = find(pk)
    if found.provider:
        return redirect(reverse("providers-one", args=[found.provider.pk]))
    if request.method != "POST":
        context = {"model": found, "frees": actions.freed_by(found)}
        return render(request, "catalogue/model_delete.html", context)
    name = str(found)
    freed = actions.remove(found, person_of(request))
    if freed:
        told = _("%(name)s is deleted; %(size)s on the disk become free.")
        messages.success(request, told % {"name": name, "size": filesizeformat(freed)})
    else:
        messages.success(request, _("%(name)s is deleted.") % {"name": name})
    return redirect("models")
