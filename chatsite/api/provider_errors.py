"""How a provider's failure looks to a caller of the API: status, code and words. No code of the
provider's own, whose 401 is about this site's key and not about the caller's."""

from __future__ import annotations

from typing import Any

# What a repeat may mend at once.
AGAIN = frozenset({"remote_unreachable"})
FAILURES = {
    "remote_key_refused": (502, "The provider of this model refused this site's key."),
    "remote_forbidden": (502, "The provider of this model does not allow its use here."),
    "remote_model_missing": (502, "The provider does not have this model any more."),
    "remote_quota": (502, "This site's credit at the provider of this model is used up."),
    "remote_failed": (502, "The provider of this model reported an error of its own."),
    "remote_unreachable": (502, "The provider of this model cannot be reached."),
    "remote_untrusted": (502, "The provider of this model could not prove who it is."),
    "remote_timeout": (504, "The provider of this model said nothing for too long."),
    "remote_cut": (502, "The connection to the provider of this model broke off."),
    "remote_garbage": (502, "The provider of this model sent something that is no answer."),
    "remote_redirect": (502, "The provider of this model points to another address."),
    "remote_blocked": (502, "The provider's address leads to where this site does not go."),
    "remote_address": (502, "The provider's address is not right."),
    "remote_locked": (500, "This site cannot read its key for the provider of this model."),
    "remote_interrupted": (
        502,
        "This site was interrupted while the provider wrote the answer. It was not asked again.",
    ),
}


def refusal(error: dict[str, Any]) -> tuple[int, str, str, dict[str, str]] | None:
    """Status, code, message and headers where what was asked or how often is the reason; None for
    everything else."""
    kind = error.get("kind")
    if kind == "remote_busy":
        wait = str(error.get("retry_after") or 5)
        message = "The provider of this model gets too many requests. Please try again later."
        return 429, "rate_limit_exceeded", message, {"Retry-After": wait}
    if kind == "remote_refused":
        detail = error.get("detail")
        message = "The provider of this model refused the request"
        return 400, "provider_refused", f"{message}: {detail}" if detail else f"{message}.", {}
    if kind == "remote_filtered":
        return 400, "content_filter", "The provider's filter ended this answer.", {}
    return None
