"""The pages about the machines that run models, and about the hub where they come from."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chatsite.accounts.access import admin_only
from chatsite.catalogue import hub as hubs
from chatsite.catalogue import nodes
from chatsite.catalogue.errors import HostError, HubAddressError, SiteDownError, TokenNeededError
from chatsite.catalogue.model_forms import hub_form
from chatsite.catalogue.views.models import fragment

# Which field a refusal is about.
FIELDS = {HubAddressError: "endpoint", HostError: "hosts", TokenNeededError: "token"}


def context() -> dict[str, Any]:
    return {"nodes": nodes.nodes(), "site": nodes.OURS, "command": nodes.COMMAND}


@admin_only
@require_safe
def machines(request: HttpRequest) -> HttpResponse:
    return render(request, "catalogue/machines.html", context())


@admin_only
@require_safe
def machines_live(request: HttpRequest) -> HttpResponse:
    return fragment(request, "catalogue/machines_live.html", context())


@admin_only
@require_POST
def act(request: HttpRequest, act: str) -> HttpResponse:
    """Drain one, let it work again, hand over what it does, or take it from the list."""
    name = request.POST.get("name", "")
    if act not in nodes.ACTS or name not in nodes.names():
        raise Http404
    try:
        nodes.act(name, act)
    except SiteDownError as error:
        messages.error(request, str(error.text))
    if request.headers.get("HX-Request"):
        told = list(messages.get_messages(request))
        return render(request, "catalogue/machines_live.html", {**context(), "told": told})
    return redirect("machines")


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
    shown = {"form": form, "has_token": hubs.has_token(), "usual": hubs.USUAL}
    return render(request, "catalogue/hub.html", shown)
