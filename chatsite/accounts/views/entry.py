"""Getting in and out: first set up, login, sign-up, invitations, logout."""

from __future__ import annotations

from hmac import compare_digest
from typing import Any

from django.conf import settings
from django.contrib.auth import login, views
from django.contrib.auth.decorators import login_not_required
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from chatsite.accounts import actions
from chatsite.accounts.access import person_of
from chatsite.accounts.errors import AlreadySetUpError, InvitationError, Refused
from chatsite.accounts.forms import AccountForm, LoginForm
from chatsite.accounts.models import SiteSettings, User
from chatsite.accounts.views.personal import remember_language

BACKEND = "django.contrib.auth.backends.ModelBackend"
secret = sensitive_post_parameters("password", "repeat", "current")
door = require_http_methods(["GET", "HEAD", "POST"])


@login_not_required
@never_cache
@secret
@door
def setup(request: HttpRequest) -> HttpResponse:
    """The first account. On a network the address that the terminal printed is the ticket."""
    if User.objects.exists():
        return redirect("login")
    if not has_ticket(request):
        return render(request, "accounts/setup_ticket.html", status=403)
    form = AccountForm(request.POST or None)
    if form.is_valid():
        try:
            person = actions.set_up(form.cleaned_data["username"], form.cleaned_data["password"])
        except AlreadySetUpError:
            return redirect("login")
        return enter(request, person)
    return render(request, "accounts/setup.html", {"form": form})


def has_ticket(request: HttpRequest) -> bool:
    given = request.GET.get("token", "").encode(errors="replace")
    ticket: str = settings.CHATSITE_SETUP_TOKEN
    return not ticket or compare_digest(given, ticket.encode())


@method_decorator([never_cache, secret], name="dispatch")
class Login(views.LoginView):
    """Name and password; axes counts the failures."""

    template_name = "accounts/login.html"
    authentication_form = LoginForm
    redirect_authenticated_user = True

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not User.objects.exists():
            return redirect("setup")
        return super().get(request, *args, **kwargs)

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        # Kept in the browser for the pages that come before the next login.
        remember_language(response, person_of(self.request).language)
        return response


@login_not_required
@never_cache
@secret
@door
def sign_up(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("/")
    if not User.objects.exists():
        return redirect("setup")
    if SiteSettings.current().sign_up != SiteSettings.SignUp.OPEN:
        return render(request, "accounts/signup_closed.html", status=403)
    form = AccountForm(request.POST or None)
    if form.is_valid():
        try:
            person = actions.sign_up(form.cleaned_data["username"], form.cleaned_data["password"])
        except Refused as error:
            return refuse(request, form, error)
        return enter(request, person)
    return render(request, "accounts/signup.html", {"form": form})


@login_not_required
@never_cache
@secret
@door
def join(request: HttpRequest, token: str) -> HttpResponse:
    if request.user.is_authenticated:
        return redirect("/")
    closed = SiteSettings.current().sign_up == SiteSettings.SignUp.CLOSED
    invitation = None if closed else actions.find_invitation(token)
    if invitation is None:
        return render(request, "accounts/invitation_unusable.html", status=404)
    form = AccountForm(request.POST or None)
    if form.is_valid():
        data = form.cleaned_data
        try:
            person = actions.join(token, data["username"], data["password"])
        except InvitationError:
            return render(request, "accounts/invitation_unusable.html", status=404)
        except Refused as error:
            return refuse(request, form, error)
        return enter(request, person)
    return render(request, "accounts/signup.html", {"form": form, "invitation": invitation})


def refuse(request: HttpRequest, form: Form, error: Refused) -> HttpResponse:
    form.add_error("username", str(error.text))
    return render(request, "accounts/signup.html", {"form": form}, status=409)


def enter(request: HttpRequest, person: User) -> HttpResponse:
    """Straight in: who has just chosen a password need not type it once more."""
    login(request, person, backend=BACKEND)
    return redirect("/")
