"""What an admin should know of the machines before choosing between weights for llama.cpp and for
vLLM. It asks nobody."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from chatsite.catalogue.library import Card
from chatsite.gateway.library import Variant


def on_weights(variants: Sequence[Variant], cards: Sequence[Card]) -> list[str]:
    """Sentences for the page of a repository."""
    told = []
    has_vllm = any("vllm" in machine.engines for _worker, machine in cards)
    if cards and not has_vllm and any(each.format == "safetensors" for each in variants):
        told.append(
            _(
                "These weights need vLLM, which no machine has that is here now. They can be "
                "fetched already; a worker with vLLM that joins later runs them."
            )
        )
    quick = [worker.name for worker, machine in cards if machine.amx]
    if quick:
        told.append(
            _(
                "%(nodes)s: the processor has AMX. For many people at the same time vLLM with "
                "weights in safetensors is a real choice there, also without a graphics card: in "
                "our measurements it wrote 2.5 times as much as llama.cpp for 32 at once. One "
                "answer alone is slower with it."
            )
            % {"nodes": ", ".join(quick)}
        )
    return told
