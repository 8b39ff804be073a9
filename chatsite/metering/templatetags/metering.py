"""Numbers as they are read, and a person's limits on the admin's page about them."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.translation import gettext

from chatsite.accounts.models import User
from chatsite.metering import figures, quotas
from chatsite.metering.forms import PersonLimitsForm
from chatsite.metering.models import Limit

register = template.Library()


@register.filter
def thousands(number: int) -> str:
    return f"{number:,}"


@register.simple_tag
def amounts(limit: Limit | None) -> str:
    """A limit in words."""
    sentences = (
        gettext("%(number)s tokens per day"),
        gettext("%(number)s requests per day"),
        gettext("%(number)s requests per minute"),
    )
    known = () if limit is None else zip(sentences, limit.amounts, strict=True)
    words = [words % {"number": f"{number:,}"} for words, number in known if number is not None]
    return " · ".join(words) or gettext("No limit")


@register.inclusion_tag("metering/person.html")
def person_limits(person: User) -> dict[str, Any]:
    rows = Limit.objects.in_bulk([Limit.SITE, Limit.of_user(person.pk)])
    own = rows.get(Limit.of_user(person.pk))
    whose = "own" if own else "site"
    return {
        "person": person,
        "site": rows.get(Limit.SITE),
        "form": PersonLimitsForm(limit=own, initial={"whose": whose}),
        "standing": quotas.look(person.pk),
        "keys": figures.keys_of(person),
    }
