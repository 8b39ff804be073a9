"""Why a request of the chat is refused: a stable kind, a status, and words for the reader."""

from __future__ import annotations

from typing import Any

from django.db import OperationalError
from django.utils.translation import gettext

from chatsite.databases import disk_is_full


class Refusal(Exception):
    """A user's error, or a trouble of ours that the user has to know. `message` is translated."""

    def __init__(self, kind: str, status: int, message: str, **details: Any) -> None:
        super().__init__(kind)
        self.kind = kind
        self.status = status
        self.message = message
        self.details = details

    def as_dict(self) -> dict[str, Any]:
        return {"error": {"kind": self.kind, "message": self.message, **self.details}}


def blank() -> Refusal:
    return Refusal("blank", 400, gettext("Write a message first."))


def blank_title() -> Refusal:
    return Refusal("blank", 400, gettext("A title needs at least one character."))


def malformed(field: str) -> Refusal:
    return Refusal(
        "malformed", 400, gettext("The request was not complete. Reload the page."), field=field
    )


def unreadable() -> Refusal:
    return Refusal(
        "unreadable", 400, gettext("The text contains a character that cannot be saved (NUL).")
    )


def too_long(limit: int, length: int) -> Refusal:
    message = gettext("The text has %(length)d characters; at most %(limit)d are possible.")
    return Refusal("too_long", 413, message % {"length": length, "limit": limit}, limit=limit)


def bad_setting(field: str, label: str, problem: str) -> Refusal:
    message = gettext("%(setting)s: %(problem)s") % {"setting": label, "problem": problem}
    return Refusal("bad_setting", 400, message, field=field)


def busy(generation: str) -> Refusal:
    message = gettext(
        "An answer is still being written in this conversation. Wait for it or stop it first."
    )
    return Refusal("busy", 409, message, generation=generation)


def model_missing() -> Refusal:
    message = gettext("This model is not available. Choose another one.")
    return Refusal("model_missing", 409, message)


def over_quota(unit: str, span: str, limit: int) -> Refusal:
    """Nothing is written; the page says that what was typed is still in the box."""
    if span == "minute":
        message = gettext(
            "That is as much as you may ask within a minute (%(limit)s requests). Try again in a "
            "moment."
        )
    elif unit == "tokens":
        message = gettext(
            "You have used up your tokens for today (%(limit)s). Tomorrow there are new ones, or "
            "ask your admin for more."
        )
    else:
        message = gettext(
            "You have used up your requests for today (%(limit)s). Tomorrow there are new ones, or "
            "ask your admin for more."
        )
    return Refusal("over_quota", 429, message % {"limit": f"{limit:,}"}, unit=unit, span=span)


def storage(error: OperationalError) -> Refusal:
    """The database could not write. What the user typed is still in the composer."""
    if disk_is_full(error):
        message = gettext(
            "The disk of the server is full, so your message was not saved. It is still in the "
            "box below: free some space or tell your admin, then send it again."
        )
        return Refusal("storage_full", 503, message)
    message = gettext(
        "The database did not answer, so your message was not saved. It is still in the box below: "
        "try again in a moment."
    )
    return Refusal("database", 503, message)
