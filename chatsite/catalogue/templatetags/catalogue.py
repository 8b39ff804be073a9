"""Sizes, speeds and verdicts of models as people read them. It decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from django import template
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timeuntil
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from chatsite.catalogue import troubles
from chatsite.catalogue.curated import Entry
from chatsite.catalogue.library import Fit
from chatsite.catalogue.models import Delivery
from chatsite.catalogue.nodes import Node

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
ENGINES = {
    "llamacpp": "llama.cpp",
    "llamacpp-embed": _("llama.cpp for vectors"),
    "vllm": "vLLM",
    "remote": _("models at providers"),
}
# How a machine stands: the colour of its badge, and the word.
BADGES = {
    "on": ("success", _("In service")),
    "draining": ("warning", _("Draining")),
    "drained": ("accent", _("Drained")),
    "refused": ("danger", _("Wrong version")),
    "off": ("", _("Switched off")),
    "gone": ("danger", _("Does not answer")),
}
# Tokens of a page of text, about.
PAGE = 600


# Of the curated list there are hundreds on one page: their parts are made here, since a template
# takes many times as long for the same.


@register.simple_tag
def verdict(fit: Fit | None) -> SafeString:
    """Whether a model runs here, in words and colour."""
    kind = fit.forecast.verdict if fit else ""
    words, colour = VERDICTS.get(kind, (UNKNOWN, ""))
    badge = f" badge--{colour}" if colour else ""
    return format_html('<span class="badge{}">{}</span>', badge, words)


@register.simple_tag
def facts(entry: Entry) -> SafeString:
    """Who made it, how large it is, under which licence, what it is good at."""
    told = [entry.publisher, billions(entry.shapes.parameters), entry.licence]
    words = [*told, *entry.strength_texts, gettext("asks for consent") if entry.gated else ""]
    return _spans(words)


@register.simple_tag
def needs(fit: Fit) -> SafeString:
    """How fast it would be, and what it would take."""
    memory, shapes = fit.forecast.memory_bytes, fit.variant.shapes
    # Who makes vectors writes nothing.
    fast = "" if shapes and shapes.embeds else pace(fit.forecast.tokens_per_second)
    words = [
        gettext("about %(how_fast)s") % {"how_fast": fast} if fast else "",
        gettext("%(size)s of memory") % {"size": filesizeformat(memory)} if memory else "",
    ]
    return _spans(words)


@register.simple_tag
def options(fits: Iterable[Fit], best: Fit) -> SafeString:
    """The quantizations to choose from."""
    rows = []
    for fit in fits:
        size = filesizeformat(fit.variant.bytes) if fit.variant.bytes else ""
        words = " · ".join(filter(None, (fit.variant.quant, size, verdict_words(fit))))
        rows.append((fit.variant.quant, " selected" if fit == best else "", words))
    return format_html_join("", '<option value="{}"{}>{}</option>', rows)


def _spans(words: Iterable[object]) -> SafeString:
    return format_html_join("", "<span>{}</span>", ((text,) for text in map(str, words) if text))


def verdict_words(fit: Fit) -> str:
    return str(VERDICTS.get(fit.forecast.verdict, (UNKNOWN, ""))[0])


@register.simple_tag
def pace(tokens_per_second: float | None) -> str:
    """How fast it writes."""
    if not tokens_per_second:
        return ""
    number = f"{tokens_per_second:.1f}" if tokens_per_second < 10 else f"{tokens_per_second:.0f}"
    return gettext("%(number)s tokens/s") % {"number": number}


@register.simple_tag
def node_badge(node: Node) -> SafeString:
    """How a machine stands, in a word."""
    kind, word = BADGES.get(node.state, ("", node.state))
    return format_html('<span class="badge{}">{}</span>', kind and f" badge--{kind}", word)


@register.filter
def pages(tokens: int) -> str:
    """A length of text that people can imagine."""
    count = max(1, round(tokens / PAGE))
    told = ngettext("about %(number)s page", "about %(number)s pages", count)
    return told % {"number": f"{count:,}"}


@register.filter
def engines(names: Iterable[str]) -> str:
    return ", ".join(str(ENGINES.get(name, name)) for name in names)


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
