"""Why a provider could not be asked for its models, in the admin's words and with advice."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

REASONS = {
    "remote_address": _("The address is not right. It looks like https://api.example.com/v1"),
    "remote_blocked": _(
        "The address leads into your own network, or is plain http. If that is meant, turn on "
        "“In our own network” below. Addresses such as 169.254.169.254 are never used."
    ),
    "remote_unreachable": _(
        "Nobody answers at this address. Is the name right, is the server running, and may this "
        "machine reach it?"
    ),
    "remote_untrusted": _(
        "The server could not prove that it is the one you named: its certificate is not valid "
        "for this name, or not signed by somebody whom this machine trusts."
    ),
    "remote_redirect": _(
        "The server points to another address, which is not followed. Enter that address instead."
    ),
    "remote_key_refused": _("The server does not accept the key. Enter it again below."),
    "remote_forbidden": _("The server does not allow this key to see its models."),
    "remote_quota": _("The account's credit at this provider is used up."),
    "remote_busy": _("The server gets too many requests just now. Try again in a moment."),
    "remote_model_missing": _(
        "The server answers, but there is no list of models at this address. Most addresses end "
        "with /v1. Without a list you can name the models yourself."
    ),
    "remote_timeout": _("The server did not answer in time. Try again in a moment."),
    "remote_cut": _("The server broke off the connection. Is https right, or http?"),
    "remote_garbage": _("What answers at this address does not speak OpenAI's API."),
    "remote_locked": _(
        "The key cannot be read any more, since the site's secret is another one now. Enter it "
        "again below."
    ),
}


def explain(error: dict[str, Any]) -> str:
    kind = error.get("kind", "")
    if kind == "remote_refused" and error.get("detail"):
        return gettext("The server refused: %(detail)s") % {"detail": error["detail"]}
    known = REASONS.get(kind)
    return str(known) if known else gettext("The server reported an error of its own.")
