"""What an admin types about providers, checked. Forms read rows and never write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from chatsite.accounts.forms import PlainForm
from chatsite.catalogue.errors import AddressError
from chatsite.catalogue.models import Model, Provider
from chatsite.catalogue.providers import Offer, Place, allowed
from chatsite.gateway import upstream
from chatsite.gateway.upstream import Trouble

KEY = re.compile(r"[!-~]+")
# What programs write into a request: no spaces and no control characters.
NAME = re.compile(r"[^\s\x00-\x20\x7f]+")
LONGEST_NAME, MOST = 200, 2000


def switch(label: Any, **kwargs: Any) -> forms.BooleanField:
    # Not the look of a text field.
    widget = forms.CheckboxInput(attrs={"class": ""})
    return forms.BooleanField(label=label, required=False, widget=widget, **kwargs)


class ProviderForm(PlainForm):
    """A new provider."""

    name = forms.CharField(
        label=pgettext_lazy("of a thing", "Name"),
        max_length=80,
        help_text=_("People see it beside the models: they should know who reads what they write."),
    )
    base_url = forms.CharField(
        label=_("Address"),
        max_length=500,
        help_text=_("The base URL, for example https://api.openai.com/v1"),
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"}),
    )
    key = forms.CharField(
        label=_("Key"),
        max_length=1000,
        required=False,
        help_text=_("Stored encrypted and never shown. Leave it empty where none is needed."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "spellcheck": "false"}),
    )
    inside = switch(
        _("In our own network"),
        help_text=_(
            "For a server of yours, such as vLLM or Ollama: allows private addresses and plain "
            "http. Leave it off for everything on the internet."
        ),
    )

    def clean_base_url(self) -> str:
        """People copy the address of a call."""
        url: str = self.cleaned_data["base_url"].strip()
        url = url.rstrip("/").removesuffix("/chat/completions").removesuffix("/models")
        try:
            return upstream.normalize(url)
        except Trouble:
            raise forms.ValidationError(AddressError.text) from None

    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"].strip()
        if key and not KEY.fullmatch(key):
            raise forms.ValidationError(_("A key has no spaces and no special letters."))
        return key

    def place(self) -> Place:
        data = self.cleaned_data
        return Place(data["base_url"], data["inside"], data["key"])


class ChangeForm(ProviderForm):
    """One that is there. An empty key keeps the one that nobody can see any more."""

    enabled = switch(_("In use"), help_text=_("When it is off, its models are not offered."))
    forget = switch(_("Remove the key"))

    def __init__(self, *args: Any, has_key: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if has_key:
            self.fields["key"].help_text = _(
                "There is a key. Leave this empty to keep it; nobody can see it."
            )
        else:
            del self.fields["forget"]

    def place(self) -> Place:
        data = self.cleaned_data
        key = data["key"] or ("" if data.get("forget") else None)
        return Place(data["base_url"], data["inside"], key)


def change_form(provider: Provider, data: QueryDict | None = None) -> ChangeForm:
    """A provider as the form shows it; never its key."""
    permit = allowed(provider)
    values = {
        "name": provider.name,
        "base_url": permit.base_url if permit else "",
        "inside": permit.inside if permit else False,
        "enabled": provider.enabled,
    }
    return ChangeForm(data, initial=values, has_key=bool(permit and permit.key))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list of models: a provider's name for it, ours, and whether it is chosen."""

    upstream: str
    name: str
    chosen: bool


def rows_of(provider: Provider, listed: list[str]) -> list[Row]:
    """What is chosen, then what else the provider has."""
    mine = Model.objects.filter(provider=provider)
    known = {model.source["model"]: model.name for model in mine}
    chosen = [Row(theirs, name, chosen=True) for theirs, name in sorted(known.items())]
    return chosen + [Row(each, each, chosen=False) for each in listed if each not in known]


def read_rows(data: QueryDict) -> list[Row]:
    """The lines as they were sent, the one that was added by hand with them."""
    pairs = zip(data.getlist("upstream")[:MOST], data.getlist("name")[:MOST], strict=False)
    used = set(data.getlist("use"))
    rows = [Row(up, name.strip(), str(i) in used) for i, (up, name) in enumerate(pairs)]
    if more := data.get("more", "").strip():
        rows.append(Row(more, more, chosen=True))
    return rows


def read_offers(rows: list[Row]) -> list[Offer]:
    """What is chosen; ValidationError where a name will not do."""
    chosen = [Offer(row.upstream, row.name or row.upstream) for row in rows if row.chosen]
    for offer in chosen:
        for name in (offer.upstream, offer.name):
            if len(name) > LONGEST_NAME or not NAME.fullmatch(name):
                text = gettext("A model's name has no spaces and at most 200 characters: %(name)s")
                raise forms.ValidationError(text % {"name": name[:80]})
    names = [offer.name for offer in chosen]
    if twice := next((name for name in names if names.count(name) > 1), None):
        text = gettext("Two models cannot have the same name: %(name)s")
        raise forms.ValidationError(text % {"name": twice})
    return chosen
