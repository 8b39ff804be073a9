"""The admin's pages about groups: the list, one group, and who is in it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.models import Group
from django.db.models.functions import Lower
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from chatsite.accounts import groups as groups_of_people
from chatsite.accounts.access import admin_only
from chatsite.accounts.errors import Refused
from chatsite.accounts.forms import GroupForm
from chatsite.accounts.models import User

# Names that the browser offers while one is typed; others can be typed as well.
OFFERED = 500


@admin_only
@require_safe
def groups(request: HttpRequest) -> HttpResponse:
    return show_all(request, GroupForm())


@admin_only
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    form = GroupForm(request.POST)
    if form.is_valid():
        try:
            made = groups_of_people.make(form.cleaned_data["name"])
        except Refused as error:
            form.add_error("name", str(error.text))
        else:
            return redirect("groups-one", made.pk)
    return show_all(request, form, status=400)


@admin_only
@require_safe
def group(request: HttpRequest, pk: int) -> HttpResponse:
    one = get_object_or_404(Group, pk=pk)
    return show_one(request, one, GroupForm(initial={"name": one.name}))


@admin_only
@require_POST
def rename(request: HttpRequest, pk: int) -> HttpResponse:
    one, form = get_object_or_404(Group, pk=pk), GroupForm(request.POST)
    before = one.name
    if form.is_valid():
        try:
            groups_of_people.rename(one, form.cleaned_data["name"])
        except Refused as error:
            form.add_error("name", str(error.text))
        else:
            messages.success(request, _("Saved."))
            return redirect("groups-one", pk)
    one.name = before
    return show_one(request, one, form, status=400)


@admin_only
@require_POST
def put_in(request: HttpRequest, pk: int) -> HttpResponse:
    one = get_object_or_404(Group, pk=pk)
    try:
        new = groups_of_people.put_in(one, request.POST.get("names", "").replace("\0", ""))
    except Refused as error:
        messages.error(request, str(error.text))
    else:
        words = ngettext("%(number)d is new in it.", "%(number)d are new in it.", len(new))
        messages.success(request, words % {"number": len(new)})
    return redirect("groups-one", pk)


@admin_only
@require_POST
def take_out(request: HttpRequest, pk: int) -> HttpResponse:
    one = get_object_or_404(Group, pk=pk)
    name = request.POST.get("name", "").replace("\0", "")
    person = get_object_or_404(User, username=name)
    groups_of_people.take_out(one, person)
    messages.success(request, _("%(name)s is not in it any more.") % {"name": name})
    return redirect("groups-one", pk)


@admin_only
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks once more on a page of its own: this cannot be taken back."""
    one = get_object_or_404(Group, pk=pk)
    if request.method != "POST":
        alone = [each.name for each in groups_of_people.opens(one) if each.alone]
        context = {"group": one, "alone": alone}
        return render(request, "accounts/group_delete.html", context)
    try:
        groups_of_people.delete(one)
    except Refused as error:
        messages.error(request, str(error.text))
        return redirect("groups-one", pk)
    messages.success(request, _("%(name)s is deleted.") % {"name": one.name})
    return redirect("groups")


def show_all(request: HttpRequest, form: GroupForm, status: int = 200) -> HttpResponse:
    context = {"groups": groups_of_people.everything(), "form": form}
    return render(request, "accounts/groups.html", context, status=status)


def show_one(request: HttpRequest, one: Group, form: GroupForm, status: int = 200) -> HttpResponse:
    people = User.objects.order_by(Lower("username"))
    context = {
        "group": one,
        "form": form,
        "people": people.filter(groups=one),
        "others": people.exclude(groups=one).values_list("username", flat=True)[:OFFERED],
        "opens": [each.name for each in groups_of_people.opens(one)],
    }
    return render(request, "accounts/group.html", context, status=status)
