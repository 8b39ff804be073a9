"""What the chat's posts may contain, in strict ranges. A bad value is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from chatsite.chat import refusals
from chatsite.chat.actions import Draft
from chatsite.chat.sidebar import Cursor
from chatsite.gateway.nouns import Sampling

LONGEST_TEXT = 200_000
LONGEST_SYSTEM = 50_000
LONGEST_TITLE = 200
LARGEST_ID = 2**63 - 1
# Texts at which an answer ends: how many, and how long each.
MOST_STOPS = 16
LONGEST_STOP = 200


class LinesField(forms.CharField):
    """Texts, one per line. Spaces at the ends of a line count."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, strip=False, **options)

    def clean(self, value: Any) -> list[str]:
        lines = [line for line in _clean(super().clean(value)).split("\n") if line]
        if len(lines) > MOST_STOPS:
            raise forms.ValidationError(_("At most %(most)d lines."), params={"most": MOST_STOPS})
        if any(len(line) > LONGEST_STOP for line in lines):
            words = _("A line has at most %(most)d characters.")
            raise forms.ValidationError(words, params={"most": LONGEST_STOP})
        return lines


class PanelForm(forms.Form):
    """The side panel. What is empty falls back to the default."""

    system = forms.CharField(
        label=_("System prompt"), required=False, strip=True, max_length=LONGEST_SYSTEM
    )
    temperature = forms.FloatField(label=_("Temperature"), min_value=0, max_value=2, required=False)
    top_p = forms.FloatField(label=_("Top-p"), min_value=0, max_value=1, required=False)
    top_k = forms.IntegerField(label=_("Top-k"), min_value=0, max_value=1000, required=False)
    min_p = forms.FloatField(label=_("Min-p"), min_value=0, max_value=1, required=False)
    repetition_penalty = forms.FloatField(
        label=_("Repetition penalty"), min_value=0.1, max_value=2, required=False
    )
    presence_penalty = forms.FloatField(
        label=_("Presence penalty"), min_value=-2, max_value=2, required=False
    )
    frequency_penalty = forms.FloatField(
        label=_("Frequency penalty"), min_value=-2, max_value=2, required=False
    )
    typical_p = forms.FloatField(label=_("Typical-p"), min_value=0.01, max_value=1, required=False)
    stop = LinesField(label=_("Stop at"))
    json = forms.BooleanField(label=_("Answer as JSON"), required=False)
    min_tokens = forms.IntegerField(
        label=_("Min tokens"), min_value=0, max_value=100_000, required=False
    )
    max_tokens = forms.IntegerField(
        label=_("Max tokens"), min_value=1, max_value=1_000_000, required=False
    )
    seed = forms.IntegerField(label=_("Seed"), min_value=0, max_value=2**32 - 1, required=False)


def read_panel(data: QueryDict) -> dict[str, Any]:
    """The settings that were sent, checked; None for one that was emptied."""
    form = PanelForm(data)
    for name, problems in form.errors.items():
        label = str(form.fields[name].label)
        raise refusals.bad_setting(name, label, str(problems[0]))
    cleaned = {name: form.cleaned_data[name] for name in form.fields if name in data}
    # A zero is a value, and equal to False.
    return {
        name: None if value is False or value in ("", []) else value
        for name, value in cleaned.items()
    }


def panel_of(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Every field of the panel as it is set; an empty text where the default counts."""
    panel = {name: settings.get(name, "") for name in PanelForm.base_fields}
    return {**panel, "stop": "\n".join(panel["stop"])}


def panel_defaults(usual: Mapping[str, Any]) -> dict[str, Any]:
    """What counts in an empty field; `usual` is the model's own."""
    defaults = {"system": "", **asdict(Sampling())}
    # No limit but the context, and a new seed for each answer.
    return {**defaults, "max_tokens": "", "seed": "", **usual}


def read_draft(data: QueryDict) -> Draft:
    """A message with all that goes with it."""
    text = _clean(data.get("text", ""))
    if not text.strip():
        raise refusals.blank()
    if len(text) > LONGEST_TEXT:
        raise refusals.too_long(LONGEST_TEXT, len(text))
    return Draft(text, read_uuid(data, "nonce"), read_model(data), read_panel(data))


def read_retry(data: QueryDict) -> Draft:
    """A request for another answer: all of a draft but the text."""
    return Draft("", read_uuid(data, "nonce"), read_model(data), read_panel(data))


def read_model(data: QueryDict) -> str:
    name = _clean(data.get("model", ""))
    if len(name) > 200:
        raise refusals.model_missing()
    return name


def read_title(data: QueryDict) -> str:
    title = " ".join(_clean(data.get("title", "")).split())
    if not title:
        raise refusals.blank_title()
    if len(title) > LONGEST_TITLE:
        raise refusals.too_long(LONGEST_TITLE, len(title))
    return title


def read_uuid(data: QueryDict, name: str) -> UUID:
    try:
        return UUID(data.get(name, ""))
    except ValueError:
        raise refusals.malformed(name) from None


def read_id(data: QueryDict, name: str) -> int:
    value = data.get(name, "")
    if not (value.isascii() and value.isdigit() and 0 < int(value[:20]) <= LARGEST_ID):
        raise refusals.malformed(name)
    return int(value)


def read_cursor(data: QueryDict) -> Cursor | None:
    try:
        return Cursor.parse(text) if (text := data.get("before", "")) else None
    except ValueError:
        raise refusals.malformed("before") from None


def _clean(text: str) -> str:
    """Line ends as the browser's own; NUL is refused because not every database can keep it."""
    if "\x00" in text:
        raise refusals.unreadable()
    return text.replace("\r\n", "\n")
