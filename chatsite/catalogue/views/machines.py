"""The pages about the machines that run models, and about the hub where they come from."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from chatsite.accounts.access import admin_only
from chatsite.catalogue import hub as hubs
from chatsite.catalogue import showing
from chatsite.catalogue.errors import HostError, HubAddressError, TokenNeededError
from chatsite.catalogue.model_forms import hub_form
from chatsite.catalogue.views.models import fragment

# Which field a refusal is about.
FIELDS = {HubAddressError: "endpoint", HostError: "hosts", TokenNeededError: "token"}


@admin_only
@require_safe
def machines(request: HttpRequest) -> HttpResponse:
    return render(request, "catalogue/machines.html", {"nodes": showing.nodes()})


@admin_only
@require_safe
def machines_live(request: HttpRequest) -> HttpResponse:
    return fragment(request, "catalogue/machines_live.html", {"nodes": showing.nodes()})


@admin_only
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters("token")
def hub(request: HttpRequest) -> HttpResponse:
    form = hub_form(request.POST if request.method == "POST" else None)
    if form.is_valid():
        hosts = form.cleaned_data["hosts"].replace(",", " ").split()
        try:
            hubs.change(form.cleaned_data["endpoint"], hosts, form.token_change())
        except (HubAddressError, HostError, TokenNeededError) as error:
            named = f"{error.name}: " if isinstance(error, HostError) else ""
            form.add_error(FIELDS[type(error)], f"{named}{error.text}")
        else:
            messages.success(request, _("Saved."))
            return redirect("hub")
    context = {"form": form, "has_token": hubs.has_token(), "usual": hubs.USUAL}
    return render(request, "catalogue/hub.html", context)
