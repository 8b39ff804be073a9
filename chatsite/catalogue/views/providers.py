"""The admin's pages about providers: the list, one provider, its models."""

from __future__ import annotations

from django import forms as djangoforms
from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from chatsite.accounts.access import admin_only
from chatsite.catalogue import providers, reasons
from chatsite.catalogue.errors import (
    AddressError,
    KeyNeededError,
    ModelNameTakenError,
    NameTakenError,
)
from chatsite.catalogue.forms import (
    ChangeForm,
    ProviderForm,
    Row,
    change_form,
    read_offers,
    read_rows,
    rows_of,
)
from chatsite.catalogue.models import Provider
from chatsite.gateway.upstream import Trouble

door = require_http_methods(["GET", "HEAD", "POST"])
# Which field a refusal is about.
FIELDS = {NameTakenError: "name", AddressError: "base_url", KeyNeededError: "key"}


@admin_only
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    found = Provider.objects.annotate(count=Count("models"))
    listed = [(provider, providers.allowed(provider)) for provider in found]
    return render(request, "catalogue/providers.html", {"providers": listed})


@admin_only
@door
@sensitive_post_parameters("key")
def add(request: HttpRequest) -> HttpResponse:
    form = ProviderForm(request.POST or None)
    if form.is_valid():
        try:
            provider = providers.add_provider(form.cleaned_data["name"], form.place())
        except (NameTakenError, AddressError) as error:
            form.add_error(FIELDS[type(error)], str(error.text))
        else:
            return redirect("providers-one", provider.pk)
    return render(request, "catalogue/provider_add.html", {"form": form})


@admin_only
@door
@sensitive_post_parameters("key")
def provider(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Provider, pk=pk)
    if request.method != "POST":
        return show(request, found, change_form(found))
    form = change_form(found, request.POST)
    if form.is_valid():
        name, enabled = form.cleaned_data["name"], form.cleaned_data["enabled"]
        try:
            providers.change_provider(pk, name, form.place(), enabled=enabled)
        except (NameTakenError, AddressError, KeyNeededError) as error:
            form.add_error(FIELDS[type(error)], str(error.text))
        else:
            messages.success(request, _("Saved."))
            return redirect("providers-one", pk)
    return show(request, found, form)


def show(
    request: HttpRequest,
    found: Provider,
    form: ChangeForm,
    rows: list[Row] | None = None,
    trouble: str = "",
) -> HttpResponse:
    """The page of a provider; with `rows` its models as they were sent, else those chosen."""
    context = {
        "provider": found,
        "form": form,
        "rows": rows_of(found, []) if rows is None else rows,
        "asks": rows is None,
        "trouble": trouble,
        "locked": providers.allowed(found) is None,
    }
    return render(request, "catalogue/provider.html", context)


@admin_only
@door
def models(request: HttpRequest, pk: int) -> HttpResponse:
    """The list, asked of the provider; or what was chosen of it."""
    found = get_object_or_404(Provider, pk=pk)
    if request.method == "POST":
        return choose(request, found)
    listed, trouble, asked = [], "", True
    try:
        listed = providers.list_models(found)
    except Trouble as error:
        trouble, asked = reasons.explain(error.error), False
    rows = rows_of(found, listed)
    context = {"provider": found, "rows": rows, "trouble": trouble, "asked": asked}
    return render(request, "catalogue/models.html", {**context, "count": len(listed)})


def choose(request: HttpRequest, found: Provider) -> HttpResponse:
    rows = read_rows(request.POST)
    try:
        providers.choose_models(found.pk, read_offers(rows))
    except djangoforms.ValidationError as error:
        trouble = error.messages[0]
    except ModelNameTakenError as error:
        trouble = _("Another model is called %(name)s already.") % {"name": error.name}
    else:
        messages.success(request, _("Saved."))
        return redirect("providers-one", found.pk)
    return show(request, found, change_form(found), rows, trouble)


@admin_only
@door
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks once more on a page of its own: the key is gone then."""
    found = get_object_or_404(Provider, pk=pk)
    if request.method != "POST":
        count = found.models.count()
        return render(request, "catalogue/provider_delete.html", {"provider": found, "n": count})
    providers.remove_provider(pk)
    messages.success(request, _("%(name)s is removed.") % {"name": found.name})
    return redirect("providers")
