"""What an admin types about models, files and the hub, checked. Forms read rows and never write
them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.contrib.auth.models import Group
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from chatsite.accounts.forms import PlainForm
from chatsite.catalogue import defaults, hub
from chatsite.catalogue import nodes as machines
from chatsite.catalogue.actions import Facts
from chatsite.catalogue.forms import switch
from chatsite.catalogue.models import HubSettings, Model

PLAIN = {"spellcheck": "false", "autocomplete": "off"}
# The parameters in the words of the chat's panel; those that most people want come first.
PARAMETERS = {
    "temperature": _("Temperature"),
    "top_p": _("Top-p"),
    "max_tokens": _("Max tokens"),
    "top_k": _("Top-k"),
    "min_p": _("Min-p"),
    "typical_p": _("Typical-p"),
    "repetition_penalty": _("Repetition penalty"),
    "presence_penalty": _("Presence penalty"),
    "frequency_penalty": _("Frequency penalty"),
    "min_tokens": _("Min tokens"),
}


def number(name: str, label: Any) -> forms.Field:
    """With the range that the rule has; nothing is as the model has it."""
    if name in defaults.WHOLE:
        low, high = defaults.WHOLE[name]
        return forms.IntegerField(label=label, min_value=low, max_value=high, required=False)
    first, last = defaults.RANGES[name]
    widget = forms.NumberInput(attrs={"step": "any"})
    return forms.FloatField(
        label=label, min_value=first, max_value=last, required=False, widget=widget
    )


class ModelForm(PlainForm):
    """All that can be said of a model."""

    title = forms.CharField(
        label=_("Display name"),
        max_length=200,
        required=False,
        help_text=_("What people read in the list of models."),
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=2000,
        required=False,
        help_text=_("One line about what it is good for; it stands under the name."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    name = forms.CharField(
        label=_("Name for programs"),
        max_length=200,
        help_text=_("Programs ask for the model by this name. An old name goes on to work."),
        widget=forms.TextInput(attrs=PLAIN),
    )
    aliases = forms.CharField(
        label=_("Other names"),
        max_length=8000,
        required=False,
        help_text=_("One in each line, for programs that ask for a fixed name such as gpt-4o."),
        widget=forms.Textarea(attrs={"rows": 2, **PLAIN}),
    )
    groups = forms.ModelMultipleChoiceField(
        label=_("Groups"),
        queryset=Group.objects.order_by("name"),
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": ""}),
    )
    enabled = switch(_("In use"), help_text=_("When it is off, nobody is offered it."))
    keep_loaded = switch(
        _("Keep loaded"),
        help_text=_("It stays in memory, so the first answer needs not wait for it."),
    )
    nodes = forms.MultipleChoiceField(
        label=_("Machines"),
        required=False,
        widget=forms.CheckboxSelectMultiple(attrs={"class": ""}),
    )
    system_prompt = forms.CharField(
        label=_("System prompt"),
        max_length=20_000,
        required=False,
        help_text=_(
            "For conversations that have none of their own. No secrets: it can be asked for."
        ),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    context_length = forms.IntegerField(
        label=_("Context length, in tokens"),
        min_value=defaults.LIMITS["context_length"][0],
        max_value=defaults.LIMITS["context_length"][1],
        required=False,
        help_text=_("How much of a conversation it sees. Empty: as much as memory allows."),
    )
    slots = forms.IntegerField(
        label=_("Answers at the same time"),
        min_value=defaults.LIMITS["slots"][0],
        max_value=defaults.LIMITS["slots"][1],
        required=False,
        help_text=_("Empty: as many as memory allows."),
    )
    stop = forms.CharField(
        label=_("Stop at"),
        max_length=4000,
        required=False,
        help_text=_("One text in each line; the answer ends before it."),
        widget=forms.Textarea(attrs={"rows": 2, **PLAIN}),
    )

    def __init__(self, *args: Any, nodes: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["nodes"].choices = [(name, name) for name in nodes]  # type: ignore[attr-defined]
        for name, label in PARAMETERS.items():
            self.fields[name] = number(name, label)
            self.fields[name].widget.attrs["class"] = "input"

    def parameters(self) -> list[forms.BoundField]:
        return [self[name] for name in PARAMETERS]

    def chosen_groups(self) -> set[str]:
        return {str(value) for value in self["groups"].value() or ()}

    def has_wrong_parameters(self) -> bool:
        return any(name in self.errors for name in (*PARAMETERS, "stop"))

    def facts(self) -> Facts:
        data = self.cleaned_data
        sampling = {name: data.get(name) for name in PARAMETERS}
        stops = [line for line in data["stop"].splitlines() if line]
        return Facts(
            name=data["name"],
            title=data["title"],
            description=data["description"],
            system_prompt=data["system_prompt"],
            enabled=data["enabled"],
            keep_loaded=data["keep_loaded"],
            defaults={**sampling, "stop": stops},
            context_length=data["context_length"],
            slots=data["slots"],
            groups=list(data["groups"]),
            nodes=data["nodes"],
            aliases=data["aliases"].split(),
        )


def model_form(
    model: Model,
    data: QueryDict | None = None,
    kind: type[ModelForm] = ModelForm,
    more: Mapping[str, Any] | None = None,
) -> ModelForm:
    """A model as the form shows it; `more`: values of the fields that this kind of form has."""
    values = {name: model.defaults.get(name) for name in PARAMETERS}
    told = {name: model.settings.get(name) for name in ("context_length", "slots")}
    plain = ("title", "description", "name", "enabled", "keep_loaded", "system_prompt", "nodes")
    return kind(
        data,
        nodes=sorted({*machines.names(), *model.nodes}),
        initial={
            **values,
            **told,
            **(more or {}),
            **{name: getattr(model, name) for name in plain},
            "stop": "\n".join(model.defaults.get("stop") or ()),
            "aliases": "\n".join(alias.name for alias in model.aliases.all()),
            "groups": [group.pk for group in model.groups.all()],
        },
    )


class HubForm(PlainForm):
    """Where models are looked for, and what is shown there."""

    endpoint = forms.CharField(
        label=_("Address of the hub"),
        max_length=500,
        required=False,
        help_text=_(
            "Leave it empty for Hugging Face itself, or enter the address of a mirror, such as "
            "https://hf-mirror.example"
        ),
        widget=forms.TextInput(attrs={**PLAIN, "inputmode": "url", "placeholder": hub.USUAL}),
    )
    token = forms.CharField(
        label=pgettext_lazy("of a hub", "Token"),
        max_length=1000,
        required=False,
        help_text=_("Stored encrypted and never shown. It is sent to the hub and to nobody else."),
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "spellcheck": "false"}),
    )
    forget = switch(_("Remove the token"))
    hosts = forms.CharField(
        label=_("Other hosts"),
        max_length=20_000,
        required=False,
        help_text=_(
            "Files may be fetched by their address from these hosts, one in each line, such as "
            "models.example.com or .example.com for all below it. Usually nobody needs any."
        ),
        widget=forms.Textarea(attrs={"rows": 3, **PLAIN}),
    )

    def __init__(self, *args: Any, has_token: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if has_token:
            self.fields["token"].help_text = _(
                "There is a token. Leave this empty to keep it; nobody can see it."
            )
        else:
            del self.fields["forget"]

    def token_change(self) -> str | None:
        """None keeps the one that is there."""
        typed: str = self.cleaned_data["token"].strip()
        return typed or ("" if self.cleaned_data.get("forget") else None)


def hub_form(data: QueryDict | None = None) -> HubForm:
    row = HubSettings.current()
    values = {"endpoint": row.endpoint, "hosts": "\n".join(row.hosts)}
    return HubForm(data, initial=values, has_token=hub.has_token())
