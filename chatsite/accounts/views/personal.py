"""One's own settings: language, appearance, password."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from chatsite.accounts import actions
from chatsite.accounts.access import is_person, person_of
from chatsite.accounts.forms import ChangePasswordForm, PreferencesForm
from chatsite.accounts.models import User


@require_safe
def preferences(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/preferences.html", {"themes": User.Theme.choices})


@require_POST
def appearance(request: HttpRequest) -> HttpResponse:
    form = PreferencesForm(request.POST)
    # The page offers three values: another one is no slip of a person's and changes nothing.
    if form.is_valid():
        actions.set_preferences(person_of(request), theme=form.cleaned_data["theme"])
    return redirect("settings")


@login_not_required
@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Choose the display language, before or after login. Empty: as the browser asks."""
    chosen = request.POST.get("language", "")
    if chosen and chosen not in dict(settings.LANGUAGES):
        chosen = ""
    if is_person(request.user):
        actions.set_preferences(request.user, language=chosen)
    response = redirect(safe_next(request))
    remember_language(response, chosen)
    if not chosen:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME)
    return response


def safe_next(request: HttpRequest) -> str:
    address = request.POST.get("next", "")
    safe = url_has_allowed_host_and_scheme(
        address, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return address if safe else "/"


def remember_language(response: HttpResponseBase, code: str) -> None:
    if not code:
        return
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        code,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        samesite="Lax",
        secure=settings.LANGUAGE_COOKIE_SECURE,
    )


@never_cache
@sensitive_post_parameters("password", "repeat", "current")
def password(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    form = ChangePasswordForm(person, request.POST or None)
    if form.is_valid():
        first = person.must_change_password
        actions.change_password(person, form.cleaned_data["password"])
        update_session_auth_hash(request, person)
        if first:
            return redirect("/")
        messages.success(request, _("Your password is changed. Other devices are logged out."))
        return redirect("password")
    return render(request, "accounts/password.html", {"form": form})
