"""What went wrong with an answer, in the reader's words and with advice; never the raw error."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext


def explain(error: dict[str, Any]) -> str:
    """The sentence under a failed answer. An unknown kind gets the general one."""
    match error.get("kind"):
        case "context_length_exceeded":
            return _too_long(error)
        case "model_load_failed":
            return gettext(
                "The model could not be loaded. It may need more memory than is free, or its file "
                "is damaged. Try a smaller model, or ask your admin."
            )
        case "template_failed":
            return gettext(
                "This model cannot read the conversation in this form: its chat template refuses "
                "it. Remove the system prompt, or choose another model."
            )
        case "model_missing":
            return gettext("This model is no longer available. Choose another one and try again.")
        case "engine_lost":
            return gettext(
                "The engine stopped several times while it wrote this answer. What was written is "
                "kept. Try again, or choose another model."
            )
        case "storage_full":
            return gettext(
                "The disk is full, so the answer could not go on. What was written is kept. "
                "Free some space, then try again."
            )
        case "history_lost":
            return gettext(
                "The rest of this answer was lost when the message broker lost its data. What was "
                "saved is kept. Try again for a new answer."
            )
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
