"""The admin's view: everybody's use, the table for download, and the limits."""

from __future__ import annotations

import csv
from io import StringIO

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from chatsite.accounts.access import admin_only
from chatsite.accounts.models import User
from chatsite.metering import actions, figures
from chatsite.metering.chart import draw
from chatsite.metering.forms import PersonLimitsForm, SiteLimitsForm
from chatsite.metering.models import Limit


@admin_only
@require_safe
def usage(request: HttpRequest) -> HttpResponse:
    return show(request, site_form(request))


@admin_only
@require_POST
def limits(request: HttpRequest) -> HttpResponse:
    form = site_form(request)
    if not form.is_valid():
        return show(request, form, status=400)
    actions.set_site_limits(form.amounts, waits=form.cleaned_data["beyond"] == "wait")
    messages.success(request, _("Saved."))
    return redirect("usage-all")


@admin_only
@require_POST
def person(request: HttpRequest, pk: int) -> HttpResponse:
    """One person's limits. Their page shows the form, this takes it."""
    someone = get_object_or_404(User, pk=pk)
    form = PersonLimitsForm(request.POST)
    if form.is_valid():
        own = form.cleaned_data["whose"] == "own"
        actions.set_person_limits(someone, form.amounts if own else None)
        messages.success(request, _("Saved."))
    else:
        messages.error(request, _("Limits are whole numbers, or empty for no limit."))
    return redirect("users-one", pk)


@admin_only
@require_safe
def download(request: HttpRequest) -> HttpResponse:
    """The rows of a year as a table."""
    out = StringIO()
    csv.writer(out).writerows(figures.table(figures.lately(days=figures.EXPORTED)))
    name = f"usage-{timezone.localdate()}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def site_form(request: HttpRequest) -> SiteLimitsForm:
    known = Limit.objects.filter(scope=Limit.SITE).first()
    beyond = "wait" if known and known.waits else "refuse"
    given = request.POST if request.method == "POST" else None
    return SiteLimitsForm(given, limit=known, initial={"beyond": beyond})


def show(request: HttpRequest, form: SiteLimitsForm, status: int = 200) -> HttpResponse:
    rows = figures.lately()
    context = {
        "chart": draw(figures.by_day(rows)),
        "total": figures.total(rows),
        "people": figures.by_user(rows),
        "keys": figures.by_everybodys_way(rows),
        "models": figures.by_model(rows),
        "form": form,
    }
    return render(request, "metering/everybody.html", context, status=status)
