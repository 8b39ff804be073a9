"""Pages of API keys: one's own, and an admin's look at another's. A key's text is in one answer."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from chatsite.accounts import keys, offers
from chatsite.accounts.access import admin_only, person_of
from chatsite.accounts.errors import Refused
from chatsite.accounts.forms import KeyForm
from chatsite.accounts.models import ApiKey
from chatsite.accounts.snippets import snippets

# Past keys are history: the newest say what was in use lately.
SHOWN = 20
door = require_http_methods(["GET", "HEAD", "POST"])


@never_cache
@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    context = {
        "working": keys.working_keys(person),
        "past": keys.past_keys(person)[:SHOWN],
        "limit": keys.LIMIT,
        "base": base_address(request),
    }
    return render(request, "accounts/keys.html", context)


@never_cache
@door
@sensitive_variables("text")
def new(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    names = offers.names_for(person)
    form = KeyForm(names, request.POST or None)
    status = 200
    if form.is_valid():
        allowed = form.allowed()
        try:
            key, text = keys.make_key(
                person,
                form.cleaned_data["name"],
                expires_at=form.expires_at(),
                allowed=allowed,
            )
        except Refused as error:
            form.add_error(None, str(error.text))
            status = 409
        else:
            return show_key(request, key, text, next(iter(allowed or names), ""))
    return render(request, "accounts/keys_new.html", {"form": form}, status=status)


@sensitive_variables("text", "context")
def show_key(request: HttpRequest, key: ApiKey, text: str, model: str) -> HttpResponse:
    """In the answer itself, so that the key is stored nowhere on its way to the screen."""
    base = base_address(request)
    samples = snippets(base, text, model)
    context = {"key": key, "text": text, "base": base, "snippets": samples}
    return render(request, "accounts/keys_made.html", context)


def base_address(request: HttpRequest) -> str:
    """What programs call the `base_url`, as this reader's machine reaches it."""
    return request.build_absolute_uri("/v1")


@never_cache
@door
def revoke(request: HttpRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(ApiKey, pk=pk, user=person_of(request))
    return ask_and_revoke(request, key, reverse("keys"))


@admin_only
@door
def revoke_for(request: HttpRequest, pk: int) -> HttpResponse:
    key = get_object_or_404(ApiKey.objects.select_related("user"), pk=pk)
    return ask_and_revoke(request, key, reverse("users-one", args=[key.user_id]))


def ask_and_revoke(request: HttpRequest, key: ApiKey, back: str) -> HttpResponse:
    """Asks once more on a page of its own: this cannot be taken back."""
    if request.method == "POST":
        keys.revoke_key(key.user, key.pk)
        messages.success(request, _("The key %(name)s is revoked.") % {"name": key})
    elif key.state == "open":
        return render(request, "accounts/keys_revoke.html", {"key": key, "back": back})
    return redirect(back)
