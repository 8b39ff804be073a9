"""Why nobody takes what waits for a model, in the reader's words; and the end of that where a
program waits."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext_lazy as _

from chatsite.gateway.broker import connect
from chatsite.gateway.models import Generation
from inference import client
from inference.client import Reason

__all__ = ["Reason", "explain", "give_up", "look"]

SENTENCES = {
    "no_worker": _("No machine of this site can run this model just now. Waiting for one."),
    "machine_gone": _(
        "The machine %(name)s that has this model does not answer. Waiting for it or another one."
    ),
    "draining": _(
        "The machine %(name)s that has this model is being serviced. Waiting for it or another one."
    ),
    "refused": _(
        "The machine %(name)s that has this model needs an update. Waiting for it or another one."
    ),
}


def look(queues: Iterable[str]) -> dict[str, Reason]:
    """For the queues of which nobody takes anything. Raises redis.RedisError."""
    return client.reasons(connect(), queues)


def explain(reason: Reason) -> str:
    return str(SENTENCES[reason.kind]) % {"name": reason.name}


def give_up(row: Generation, reason: Reason) -> None:
    """End it with the reason as its error, where it still waits. Raises redis.RedisError."""
    client.give_up(connect(), row.pk.hex, {"kind": reason.kind, "name": reason.name})
