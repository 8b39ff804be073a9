"""What is typed about limits, checked. Forms write no rows."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from chatsite.accounts.forms import PlainForm
from chatsite.metering.models import Limit

# Beyond it nobody means a limit; the database has room for it.
MOST = 10**15
NAMES = ("tokens_per_day", "requests_per_day", "requests_per_minute")


def amount(label: Any) -> forms.IntegerField:
    widget = forms.NumberInput(attrs={"placeholder": _("No limit"), "inputmode": "numeric"})
    return forms.IntegerField(
        label=label, required=False, min_value=0, max_value=MOST, widget=widget
    )


class LimitsForm(PlainForm):
    """How much may be used; what is left empty is without limit."""

    tokens_per_day = amount(_("Tokens per day"))
    requests_per_day = amount(_("Requests per day"))
    requests_per_minute = amount(_("Requests per minute"))

    def __init__(self, *args: Any, limit: Limit | None = None, **kwargs: Any) -> None:
        known = {} if limit is None else {name: getattr(limit, name) for name in NAMES}
        super().__init__(*args, initial=known | kwargs.pop("initial", {}), **kwargs)

    @property
    def amounts(self) -> dict[str, int | None]:
        return {name: self.cleaned_data[name] for name in NAMES}


class SiteLimitsForm(LimitsForm):
    """Those of everybody, and what becomes of what is asked beyond a limit."""

    beyond = forms.ChoiceField(
        label=_("What is asked beyond a limit"),
        choices=[("refuse", _("Is refused")), ("wait", _("Waits behind everybody else's"))],
        initial="refuse",
    )


class PersonLimitsForm(LimitsForm):
    """One person's: the site's, or their own."""

    whose = forms.ChoiceField(
        label=_("Limits"),
        choices=[("site", _("As for everybody")), ("own", _("Their own"))],
        initial="site",
    )
