"""The admin's pages about accounts: the list, one person, and what can be done to them."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.db.models import Count, Q
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST, require_safe

from chatsite.accounts import actions, keys
from chatsite.accounts.access import admin_only, person_of
from chatsite.accounts.errors import Refused
from chatsite.accounts.forms import AddPersonForm
from chatsite.accounts.models import User

# An office of hundreds fits on one page; beyond that the search narrows it.
SHOWN = 200
# Of the keys that work no more.
KEYS_SHOWN = 5


@admin_only
@require_safe
def people(request: HttpRequest) -> HttpResponse:
    query = request.GET.get("q", "").replace("\0", "").strip()[:150]
    everybody = User.objects.order_by(Lower("username"))
    found = everybody.filter(username__icontains=query) if query else everybody
    counts = User.objects.aggregate(all=Count("pk"), off=Count("pk", filter=Q(is_active=False)))
    context = {"people": found[:SHOWN], "query": query, "counts": counts}
    return render(request, "accounts/people.html", context)


@admin_only
@sensitive_post_parameters("password")
def add(request: HttpRequest) -> HttpResponse:
    form = AddPersonForm(request.POST or None)
    if form.is_valid():
        try:
            person, password = actions.add_person(**form.cleaned_data)
        except Refused as error:
            form.add_error("username", str(error.text))
        else:
            return show_password(request, person, password, new=True)
    return render(request, "accounts/person_add.html", {"form": form})


def show_password(
    request: HttpRequest, person: User, password: str, new: bool = False
) -> HttpResponse:
    """In the answer itself, so that the password is stored nowhere on its way to the screen."""
    context = {"person": person, "password": password, "new": new}
    return render(request, "accounts/person_password.html", context)


@admin_only
@require_safe
def person(request: HttpRequest, pk: int) -> HttpResponse:
    someone = get_object_or_404(User, pk=pk)
    context = {
        "person": someone,
        "myself": someone.pk == request.user.pk,
        "last_admin": someone.is_last_admin(),
        "groups": someone.groups.order_by("name"),
        "working": keys.working_keys(someone),
        "past": keys.past_keys(someone)[:KEYS_SHOWN],
    }
    return render(request, "accounts/person.html", context)


@admin_only
@require_POST
def reset(request: HttpRequest, pk: int) -> HttpResponse:
    someone = get_object_or_404(User, pk=pk)
    try:
        password = actions.reset_password(someone, person_of(request))
    except Refused as error:
        messages.error(request, str(error.text))
        return redirect("users-one", pk)
    return show_password(request, someone, password)


@admin_only
@require_POST
def activate(request: HttpRequest, pk: int) -> HttpResponse:
    done = _("%(name)s can log in again.")
    return change(request, pk, lambda p: actions.set_active(p, person_of(request), True), done)


@admin_only
@require_POST
def disable(request: HttpRequest, pk: int) -> HttpResponse:
    done = _("%(name)s is disabled and logged out everywhere.")
    return change(request, pk, lambda p: actions.set_active(p, person_of(request), False), done)


@admin_only
@require_POST
def promote(request: HttpRequest, pk: int) -> HttpResponse:
    done = _("%(name)s is an admin now.")
    return change(request, pk, lambda p: actions.set_admin(p, True), done)


@admin_only
@require_POST
def demote(request: HttpRequest, pk: int) -> HttpResponse:
    done = _("%(name)s is no admin any more.")
    return change(request, pk, lambda p: actions.set_admin(p, False), done)


@admin_only
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks once more on a page of its own: this cannot be taken back."""
    someone = get_object_or_404(User, pk=pk)
    if request.method != "POST":
        return render(request, "accounts/person_delete.html", {"person": someone})
    done = _("%(name)s is deleted.")
    answer = change(request, pk, lambda p: actions.delete_person(p, person_of(request)), done)
    return answer if User.objects.filter(pk=pk).exists() else redirect("users")


def change(request: HttpRequest, pk: int, act: Callable[[User], None], done: str) -> HttpResponse:
    someone = get_object_or_404(User, pk=pk)
    try:
        act(someone)
    except Refused as error:
        messages.error(request, str(error.text))
    else:
        messages.success(request, done % {"name": someone.username})
    return redirect("users-one", pk)
