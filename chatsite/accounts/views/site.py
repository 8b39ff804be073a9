"""The admin's page about the site: who may sign up, and the invitations."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from chatsite.accounts import actions
from chatsite.accounts.access import admin_only, person_of
from chatsite.accounts.forms import InvitationForm, PolicyForm
from chatsite.accounts.models import Invitation, SiteSettings

# Old invitations are history: the newest say who was let in lately.
SHOWN = 50


@admin_only
@require_safe
def site(request: HttpRequest) -> HttpResponse:
    return show(request, InvitationForm())


@admin_only
@require_POST
def policy(request: HttpRequest) -> HttpResponse:
    form = PolicyForm(request.POST)
    if form.is_valid():
        actions.set_policy(form.cleaned_data["sign_up"])
        messages.success(request, _("Saved."))
    return redirect("site")


@admin_only
@require_POST
def invite(request: HttpRequest) -> HttpResponse:
    form = InvitationForm(request.POST)
    if not form.is_valid():
        return show(request, form, status=400)
    _invitation, token = actions.invite(person_of(request), **form.cleaned_data)
    link = request.build_absolute_uri(reverse("join", args=[token]))
    return show(request, InvitationForm(), link=link)


@admin_only
@require_POST
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    actions.revoke_invitation(pk)
    messages.success(request, _("The link does not work any more."))
    return redirect("site")


def show(
    request: HttpRequest, form: InvitationForm, link: str = "", status: int = 200
) -> HttpResponse:
    context = {
        "site": SiteSettings.current(),
        "policies": SiteSettings.SignUp.choices,
        "form": form,
        "link": link,
        "invitations": Invitation.objects.select_related("created_by")[:SHOWN],
    }
    return render(request, "accounts/site.html", context, status=status)
