"""What went wrong with an answer that a provider elsewhere was to write, in the reader's words."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

SENTENCES = {
    "remote_key_refused": _(
        "The provider of this model does not accept the site's key. An admin has to enter a new "
        "one; meanwhile choose another model."
    ),
    "remote_forbidden": _(
        "The provider of this model does not allow its use here. Choose another model, or ask your "
        "admin."
    ),
    "remote_model_missing": _(
        "The provider does not have this model any more, or its address is not right. Choose "
        "another model, or ask your admin."
    ),
    "remote_quota": _(
        "The site's credit at the provider of this model is used up. Choose another model, or ask "
        "your admin."
    ),
    "remote_refused": _("The provider of this model refused the request."),
    "remote_failed": _(
        "The provider of this model reported an error of its own. Try again in a moment, or choose "
        "another model."
    ),
    "remote_unreachable": _(
        "The provider of this model cannot be reached. Try again in a moment, or choose another "
        "model."
    ),
    "remote_untrusted": _(
        "The provider of this model could not prove who it is: its certificate is not valid. "
        "Nothing was sent. Ask your admin."
    ),
    "remote_timeout": _(
        "The provider of this model said nothing for too long. What was written is kept. Try "
        "again, or choose another model."
    ),
    "remote_cut": _(
        "The connection to the provider broke off in the middle of this answer. What was written "
        "is kept, and nothing was asked again by itself."
    ),
    "remote_garbage": _(
        "The provider of this model sent something that is no answer. Try again, or ask your admin "
        "whether its address is right."
    ),
    "remote_redirect": _(
        "The provider of this model points to another address, which the site does not follow. An "
        "admin has to enter the right one."
    ),
    "remote_blocked": _(
        "The address of this model's provider leads to where the site does not go. Nothing was "
        "sent. Ask your admin."
    ),
    "remote_address": _(
        "The address of this model's provider is not right. Nothing was sent. Ask your admin."
    ),
    "remote_filtered": _(
        "The provider's filter ended this answer. Say it in other words, or choose another model."
    ),
    "remote_interrupted": _(
        "The site was interrupted while the provider wrote this answer. What was written is kept. "
        "It was not asked again by itself, since that may cost money: continue, or try again."
    ),
    "remote_locked": _(
        "The computer that was to ask the provider cannot read the site's key: it does not know "
        "the site's secret, or that has changed. Ask your admin."
    ),
}


def explain(error: dict[str, Any]) -> str | None:
    """The sentence; None for what is no failure of a provider."""
    kind = error.get("kind", "")
    if kind == "remote_busy":
        return _busy(error.get("retry_after"))
    if kind == "remote_refused" and error.get("detail"):
        told = gettext("The provider of this model refused the request: %(detail)s")
        return told % {"detail": error["detail"]}
    return str(SENTENCES[kind]) if kind in SENTENCES else None


def _busy(seconds: int | None) -> str:
    if not seconds:
        return gettext(
            "The provider of this model gets too many requests just now. Try again in a moment."
        )
    told = ngettext(
        "The provider of this model gets too many requests. Try again in %(seconds)d second.",
        "The provider of this model gets too many requests. Try again in %(seconds)d seconds.",
        seconds,
    )
    return told % {"seconds": seconds}
