"""What an admin types about a model that an engine of somebody's own runs, checked as far as the
site can: what is in it, the engine alone knows. Forms write no rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from chatsite.accounts.forms import PlainForm
from chatsite.catalogue.model_forms import PLAIN
from chatsite.catalogue.models import Model
from chatsite.catalogue.own import Choice

LONGEST = 20_000


class DictField(forms.JSONField):
    """An object; what is empty is one, too."""

    empty_values = [None, ""]

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.Textarea(attrs={"rows": 3, "maxlength": LONGEST, **PLAIN})
        super().__init__(required=False, widget=widget, **kwargs)

    def clean(self, value: Any) -> Any:
        if isinstance(value, str) and len(value) > LONGEST:
            raise forms.ValidationError(_("This is too long."))
        found = super().clean(value)
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise forms.ValidationError(_('Enter an object, such as {"path": "/srv/model"}.'))
        return found


class OwnForm(PlainForm):
    """Which engine, and what it is told."""

    name = forms.CharField(
        label=_("Name for programs"),
        max_length=200,
        help_text=_("Programs ask for the model by this name. An old name goes on to work."),
        widget=forms.TextInput(attrs=PLAIN),
    )
    engine = forms.ChoiceField(label=_("Engine"))
    source = DictField(
        label=_("Source"),
        help_text=_("Where its model is, as a JSON object that the engine understands."),
    )
    settings = DictField(
        label=_("Settings of the engine"),
        help_text=_(
            "Also a JSON object. Every engine knows slots (answers at the same time), "
            "context_length (tokens) and memory_bytes."
        ),
    )

    def __init__(self, *args: Any, engines: Iterable[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["engine"].choices = [(name, name) for name in engines]  # type: ignore[attr-defined]

    def choice(self) -> Choice:
        data = self.cleaned_data
        return Choice(data["engine"], data["source"], data["settings"])


def change_form(model: Model, engines: Iterable[str], data: QueryDict | None = None) -> OwnForm:
    """One that is there. Its name is changed on its page, its engine may be away just now."""
    told = {"engine": model.engine, "source": model.source, "settings": model.settings}
    form = OwnForm(data, engines=sorted({*engines, model.engine}), initial=told)
    del form.fields["name"]
    return form
