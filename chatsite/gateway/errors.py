"""What went wrong with an answer, in the reader's words and with advice; never the raw error."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chatsite.gateway import provider_errors

SENTENCES = {
    "model_load_failed": _(
        "The model could not be loaded. It may need more memory than is free, or its file "
        "is damaged. Try a smaller model, or ask your admin."
    ),
    "engine_missing": _(
        "The engine of this model cannot be started: the machine lacks its program or a part of "
        "it. Your admin finds the reason in the log of the worker."
    ),
    "memory_short": _(
        "The machine has not enough memory for this model with its settings. Your admin can lower "
        "the context length or the number of answers at once, choose smaller weights, give the "
        "model a larger share of the graphics card, or spread it over several cards."
    ),
    "model_unsupported": _(
        "vLLM does not know models of this kind, or not their quantization. Choose another model, "
        "or ask your admin for a newer version."
    ),
    "settings_refused": _(
        "vLLM refuses the settings of this model. Your admin can change them in the catalogue: how "
        "many cards share it, its context length, or its quantization."
    ),
    "answer_interrupted": _(
        "The engine stopped while it wrote this answer, and it cannot go on exactly there. What "
        "was written is kept."
    ),
    "parameter_unsupported": _(
        "The engine of this model does not know one of the chosen parameters, such as Typical-p. "
        "Reset it, or choose another model."
    ),
    "template_failed": _(
        "This model cannot read the conversation in this form: its chat template refuses "
        "it. Remove the system prompt, or choose another model."
    ),
    "template_kwargs_refused": _(
        "The model's chat template takes no such options. Leave them out, or choose another model."
    ),
    "wrong_model": _("This model gives vectors and writes no answers. Choose another one."),
    "model_missing": _("This model is no longer available. Choose another one and try again."),
    "engine_lost": _(
        "The engine stopped several times while it wrote this answer. What was written is "
        "kept. Try again, or choose another model."
    ),
    "storage_full": _(
        "The disk is full, so the answer could not go on. What was written is kept. "
        "Free some space, then try again."
    ),
    "history_lost": _(
        "The rest of this answer was lost when the message broker lost its data. What was "
        "saved is kept. Try again for a new answer."
    ),
    "bad_schema": _(
        "The JSON schema for this answer cannot be used. Check that it is a valid schema and "
        "that its parts are of kinds that are supported."
    ),
    "bad_grammar": _(
        "The grammar for this answer cannot be read. Check its rules, and that one is named root."
    ),
    "grammar_too_complex": _(
        "The form that this answer must have is too complex to be followed. Make the schema or "
        "the grammar smaller, or nest it less deeply."
    ),
    "bad_prompt": _(
        "The model cannot read this text as it is. Remove unusual characters, or say it in "
        "other words."
    ),
}


def explain(error: dict[str, Any]) -> str:
    """The sentence under a failed answer. An unknown kind gets the general one."""
    kind = error.get("kind", "")
    if kind == "context_length_exceeded":
        return _too_long(error)
    if kind == "model_too_large":
        return _too_large(error)
    if kind in SENTENCES:
        return str(SENTENCES[kind])
    if told := provider_errors.explain(error):
        return told
    return gettext("Something went wrong while the answer was written. Please try again.")


def _too_long(error: dict[str, Any]) -> str:
    # Whole paragraphs: what stands between two sentences differs from language to language.
    needed, room = error.get("prompt_tokens"), error.get("context_length")
    if needed is None or room is None:
        return gettext(
            "This conversation is longer than the model can read. You can leave out the oldest "
            "messages, shorten your message, or start a new conversation. Nothing was cut."
        )
    return gettext(
        "This conversation has %(needed)d tokens, but the model can read only %(room)d at once. "
        "You can leave out the oldest messages, shorten your message, or start a new conversation. "
        "Nothing was cut."
    ) % {"needed": needed, "room": room}


def _too_large(error: dict[str, Any]) -> str:
    needed, free = error.get("needed_bytes"), error.get("free_bytes")
    if needed is None or free is None:
        return gettext(
            "The model needs more memory than is free. Choose a smaller model, or ask your admin."
        )
    return gettext(
        "The model needs %(needed)s GB of memory, but only %(free)s GB are free. Choose a smaller "
        "model, or ask your admin."
    ) % {"needed": _gigabytes(needed), "free": _gigabytes(free)}


def _gigabytes(count: float) -> str:
    """Hundredths where tenths would make a small model's need and the free memory look alike."""
    size = count / 1e9
    return f"{size:.1f}" if size >= 10 else f"{size:.2f}"
