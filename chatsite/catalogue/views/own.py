"""The pages of models that an engine of somebody's own runs: add one, change what it is told."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from chatsite.accounts.access import admin_only
from chatsite.catalogue import own
from chatsite.catalogue.errors import BadNameError, ModelNameTakenError
from chatsite.catalogue.models import Model
from chatsite.catalogue.own_forms import OwnForm, change_form

door = require_http_methods(["GET", "HEAD", "POST"])


@admin_only
@door
def add(request: HttpRequest) -> HttpResponse:
    names = own.names()
    form = OwnForm(request.POST or None, engines=names)
    if form.is_valid():
        try:
            model = own.add(form.cleaned_data["name"], form.choice())
        except (BadNameError, ModelNameTakenError) as error:
            form.add_error("name", str(error.text))
        else:
            messages.success(request, _("Saved."))
            return redirect("models-one", model.pk)
    return render(request, "catalogue/own.html", {"form": form, "engines": names})


@admin_only
@door
def change(request: HttpRequest, pk: int) -> HttpResponse:
    model = get_object_or_404(Model, pk=pk)
    if not own.is_own(model):
        raise Http404
    form = change_form(model, own.names(), request.POST or None)
    if form.is_valid():
        own.change(pk, form.choice())
        messages.success(request, _("Saved."))
        return redirect("models-one", pk)
    return render(request, "catalogue/own.html", {"form": form, "model": model})
