"""One's own use of the last days, and the limits of one's keys."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from chatsite.accounts.access import person_of
from chatsite.accounts.models import ApiKey
from chatsite.metering import actions, figures, quotas
from chatsite.metering.chart import draw
from chatsite.metering.forms import LimitsForm
from chatsite.metering.models import Limit


@never_cache
@require_safe
def usage(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    rows = figures.lately(person)
    days = figures.by_day(rows)
    context = {
        "chart": draw(days),
        "days": [day for day in reversed(days) if day.tokens or day.requests],
        "total": figures.total(rows),
        "models": figures.by_model(rows),
        "ways": figures.by_way(rows),
        "standing": quotas.look(person.pk),
        "waits": Limit.objects.filter(scope=Limit.SITE, waits=True).exists(),
        "keys": figures.keys_of(person),
    }
    return render(request, "metering/usage.html", context)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def key(request: HttpRequest, pk: int) -> HttpResponse:
    """How much may be used with one key: its owner decides, or an admin."""
    person = person_of(request)
    one = get_object_or_404(ApiKey.objects.select_related("user"), pk=pk)
    if one.user_id != person.pk and not person.is_staff:
        raise Http404
    known = Limit.objects.filter(scope=Limit.of_key(pk)).first()
    form = LimitsForm(request.POST if request.method == "POST" else None, limit=known)
    if form.is_valid():
        actions.set_key_limits(one, form.amounts)
        messages.success(request, _("Saved."))
        mine = one.user_id == person.pk
        return redirect("usage") if mine else redirect("users-one", one.user_id)
    context: dict[str, Any] = {"key": one, "form": form, "mine": one.user_id == person.pk}
    status = 400 if form.is_bound else 200
    return render(request, "metering/key.html", context, status=status)
