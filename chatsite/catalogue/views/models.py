"""The page of the models that are here, with what is on its way, and what one click does there."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from chatsite.accounts.access import admin_only
from chatsite.catalogue import actions, deliveries, showing
from chatsite.catalogue.errors import Refused
from chatsite.catalogue.models import Delivery, Model

ACTS = {
    "pause": deliveries.pause,
    "resume": deliveries.resume,
    "cancel": deliveries.cancel,
    "retry": deliveries.retry,
    "forget": deliveries.forget,
}
# Another one in every answer, though nothing has changed.
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]*"')


def fragment(request: HttpRequest, name: str, context: dict[str, Any]) -> HttpResponse:
    """A part of a page that is asked for again and again: with nothing new it is left alone, so
    that nobody's focus or reading is disturbed."""
    text = render_to_string(name, context, request)
    mark = hashlib.sha256(TOKEN.sub("", text).encode()).hexdigest()[:16]
    if request.GET.get("mark") == mark:
        return HttpResponse(status=204)
    return HttpResponse(text.replace("@mark@", mark, 1))


@admin_only
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    context = {"moment": showing.moment()}
    return HttpResponse(render_to_string("catalogue/installed.html", context, request))


@admin_only
@require_safe
def live(request: HttpRequest) -> HttpResponse:
    return fragment(request, "catalogue/installed_live.html", {"moment": showing.moment()})


def after(request: HttpRequest) -> HttpResponse:
    """The same page again, or the part of it that has changed."""
    if request.headers.get("HX-Request"):
        context = {"moment": showing.moment(), "told": list(messages.get_messages(request))}
        return HttpResponse(render_to_string("catalogue/installed_live.html", context, request))
    return redirect("models")


@admin_only
@require_POST
def act(request: HttpRequest, pk: UUID, act: str) -> HttpResponse:
    """Pause, resume, cancel, retry, or take from the list."""
    get_object_or_404(Delivery, pk=pk)
    if act not in ACTS:
        raise Http404
    try:
        ACTS[act](pk)
    except Refused as error:
        messages.error(request, str(error.text))
    else:
        # What its worker has said meanwhile.
        if act != "forget":
            deliveries.catch_up(pk)
    return after(request)


@admin_only
@require_POST
def enable(request: HttpRequest, pk: int) -> HttpResponse:
    model = get_object_or_404(Model, pk=pk)
    on = request.POST.get("on") == "1"
    actions.enable(pk, on=on)
    if not on:
        told = _("%(name)s is offered to nobody now. Conversations with it stay.")
        messages.success(request, told % {"name": model})
    return after(request)
