"""The form of a model that vLLM runs: beside all that every model has, how it is loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from chatsite.catalogue import loads
from chatsite.catalogue.actions import Facts
from chatsite.catalogue.model_forms import ModelForm, model_form
from chatsite.catalogue.models import Model

COMPILES = (
    ("", _("As usual: on a graphics card, not on a processor")),
    ("yes", _("Yes: faster answers on a graphics card, a minute more at each load")),
    ("no", _("No: it is ready sooner and takes less memory")),
)
QUANTIZATIONS = {
    "fp8": _("8 bits (FP8), at the load"),
    "int8_per_channel_weight_only": _("8 bits (INT8, weights only), at the load"),
    "mxfp8": _("8 bits (MXFP8), at the load"),
}


def size(name: str, label: Any, help_text: Any) -> forms.IntegerField:
    low, high = loads.SIZES[name]
    return forms.IntegerField(
        label=label, min_value=low, max_value=high, required=False, help_text=help_text
    )


class VllmForm(ModelForm):
    """Empty is as vLLM has it."""

    gpu_memory_utilization = forms.FloatField(
        label=_("Share of the memory"),
        min_value=loads.SHARE[0],
        max_value=loads.SHARE[1],
        required=False,
        help_text=_(
            "Of the graphics card, for weights and conversations together. Empty: 0.9. Less where "
            "something else needs the card, or where loading fails for want of memory."
        ),
        widget=forms.NumberInput(attrs={"step": "any"}),
    )
    quantization = forms.ChoiceField(
        label=_("Quantization"),
        choices=[("", _("As the files have it")), *QUANTIZATIONS.items()],
        required=False,
        help_text=_("Half the memory for the weights, and answers that differ a little."),
    )
    dtype = forms.ChoiceField(
        label=_("Numbers"),
        choices=[("", _("As the files have it")), *((name, name) for name in loads.DTYPES)],
        required=False,
        help_text=_("float16 for graphics cards before 2020, which do not know bfloat16."),
    )
    tensor_parallel_size = size(
        "tensor_parallel_size",
        _("Graphics cards that share each layer"),
        _("For a model that one card does not hold. All have to be in one machine. Empty: 1."),
    )
    pipeline_parallel_size = size(
        "pipeline_parallel_size",
        _("Groups of cards, one after the other"),
        _("Layers in so many stages: for cards that speak slowly with each other. Empty: 1."),
    )
    data_parallel_size = size(
        "data_parallel_size",
        _("Copies of the model"),
        _("Each with cards of its own: for more people at the same time. Empty: 1."),
    )
    compiles = forms.ChoiceField(label=_("Compile it"), choices=COMPILES, required=False)

    def loading(self) -> list[forms.BoundField]:
        """The fields that other models do not have."""
        return [self[name] for name in (*loads.TYPED, "compiles")]

    def shows_loading(self) -> bool:
        """Whether there is something to see: a value, or what is wrong with one."""
        return any(field.errors or field.value() for field in self.loading())

    def facts(self) -> Facts:
        data = self.cleaned_data
        told = {name: data.get(name) for name in loads.TYPED}
        eager = {"yes": False, "no": True}.get(data["compiles"])
        return replace(super().facts(), loading={**told, "enforce_eager": eager})


def form_of(model: Model, data: QueryDict | None = None) -> ModelForm:
    """The form for this model, whatever runs it."""
    if model.engine != "vllm":
        return model_form(model, data)
    told = {name: model.settings.get(name) for name in loads.TYPED}
    eager = model.settings.get("enforce_eager")
    compiles = ("no" if eager else "yes") if isinstance(eager, bool) else ""
    return model_form(model, data, VllmForm, {**told, "compiles": compiles})
