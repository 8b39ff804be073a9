"""Sizes, speeds and verdicts of models as people read them. It decides nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import template
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timeuntil
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from chatsite.catalogue import troubles
from chatsite.catalogue.library import Fit
from chatsite.catalogue.models import Delivery

register = template.Library()
# The words of a verdict, and the colour of their badge.
VERDICTS = {
    "runs_well": (_("Runs well"), "success"),
    "runs_slowly": (_("Runs slowly"), "warning"),
    "does_not_fit": (_("Does not fit"), "danger"),
    "no_engine": (_("No engine for it here"), "danger"),
}
UNKNOWN = _("Not known")
PHASES = {
    "fetching": _("Downloading"),
    "verifying": _("Comparing with the hub's checksums"),
    "checking": _("Reading the files"),
    "testing": _("Trying it out"),
    "copying": _("Copying"),
}
# Tokens of a page of text, about.
PAGE = 600


@register.inclusion_tag("catalogue/verdict.html")
def verdict(fit: Fit | None) -> dict[str, Any]:
    kind = fit.forecast.verdict if fit else ""
    words, colour = VERDICTS.get(kind, (UNKNOWN, ""))
    return {"words": words, "colour": colour}


@register.filter
def verdict_words(fit: Fit) -> str:
    return str(VERDICTS.get(fit.forecast.verdict, (UNKNOWN, ""))[0])


@register.simple_tag
def offered(fit: Fit, best: Fit) -> SafeString:
    """One quantization of a list of them. In Python, since a page has more than a thousand."""
    quant, size = fit.variant.quant, fit.variant.bytes
    words = [quant, filesizeformat(size) if size else "", verdict_words(fit)]
    label = " · ".join(word for word in words if word)
    chosen = mark_safe(" selected") if fit is best else ""
    return format_html('<option value="{}"{}>{}</option>', quant, chosen, label)


@register.simple_tag
def pace(tokens_per_second: float | None) -> str:
    """How fast it writes."""
    if not tokens_per_second:
        return ""
    number = f"{tokens_per_second:.1f}" if tokens_per_second < 10 else f"{tokens_per_second:.0f}"
    return gettext("%(number)s tokens/s") % {"number": number}


@register.filter
def pages(tokens: int) -> str:
    """A length of text that people can imagine."""
    count = max(1, round(tokens / PAGE))
    told = ngettext("about %(number)s page", "about %(number)s pages", count)
    return told % {"number": f"{count:,}"}


@register.filter
def share(row: Delivery) -> float:
    """Hundredths of it that are there; whole ones would not be seen to move."""
    return round(min(100.0, 100 * row.done / row.total), 2) if row.total else 0.0


@register.filter
def percent(part: float) -> str:
    return f"{100 * part:.0f} %"


@register.filter
def billions(parameters: int) -> str:
    """Parameters as the models' names have them."""
    if not parameters:
        return ""
    number = parameters / 1e9
    return f"{parameters / 1e6:.0f}M" if number < 1 else f"{number:.3g}B"


@register.filter
def phase(row: Delivery) -> str:
    """What happens just now, in a word or two."""
    if row.wish == "cancel":
        return gettext("Stopping")
    if row.wish == "pause" and row.state != Delivery.State.PAUSED:
        return gettext("Pausing")
    if row.state != Delivery.State.RUNNING:
        return str(Delivery.State(row.state).label)
    if row.kind == Delivery.Kind.REMOVE:
        return gettext("Removing")
    return str(PHASES.get(row.phase, Delivery.State.RUNNING.label))


@register.filter
def left(row: Delivery) -> str:
    """The time that it will still take, as far as that can be said."""
    if not row.speed or row.total <= row.done or row.phase != "fetching":
        return ""
    rest = min((row.total - row.done) / row.speed, 30 * 24 * 3600)
    if rest < 60:
        return gettext("less than a minute left")
    now = timezone.now()
    # A little more, or whole minutes would be told one too few.
    until = timeuntil(now + timedelta(seconds=rest + 1), now, depth=1)
    return gettext("%(time)s left") % {"time": until}


@register.filter
def speed(row: Delivery) -> str:
    return gettext("%(size)s/s") % {"size": filesizeformat(row.speed)} if row.speed else ""


@register.filter
def trouble(row: Delivery) -> str:
    return troubles.explain(row.error)
