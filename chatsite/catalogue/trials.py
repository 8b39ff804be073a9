"""A prompt to try a model with: an answer that belongs to no conversation, read while it grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from chatsite.accounts.models import User
from chatsite.catalogue import actions
from chatsite.catalogue.models import Model
from chatsite.gateway import actions as gateway
from chatsite.gateway.errors import explain
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import Message, Sampling

LONGEST = 4000
# Enough to hear how it sounds and how fast it is.
TOKENS = 256


@dataclass(frozen=True, slots=True)
class Trial:
    """How an answer stands. `trouble`: in the admin's words. The speed is known at the end."""

    id: UUID
    text: str
    reasoning: str = ""
    ended: bool = False
    trouble: str = ""
    tokens_per_second: float | None = None
    seconds_to_first: float | None = None


def begin(user: User, model: Model, prompt: str) -> UUID:
    """Ask; also a model that is switched off or that only others may use."""
    system = [Message("system", model.system_prompt, published=True)] if model.system_prompt else []
    usual = Sampling.from_dict({**actions.usual(model), "max_tokens": TOKENS})
    asked = prompt.replace("\0", "")[:LONGEST]
    row = gateway.start(
        owner=user,
        kind=Generation.Kind.API,
        spec=actions.spec(model),
        messages=[*system, Message("user", asked)],
        sampling=usual,
    )
    return row.pk


def look(user: User, pk: UUID) -> Trial | None:
    """None where this person has no such answer."""
    row = Generation.objects.filter(pk=pk, owner=user, kind=Generation.Kind.API).first()
    if row is None:
        return None
    if row.is_live and (growth := gateway.catch_up(pk)):
        return Trial(pk, growth.row.text, growth.row.reasoning)
    row.refresh_from_db()
    stats: dict[str, Any] = row.stats
    first = stats.get("first_token_ms")
    return Trial(
        pk,
        row.text,
        row.reasoning,
        ended=not row.is_live,
        trouble=explain(row.error) if row.error else "",
        tokens_per_second=stats.get("tokens_per_second"),
        seconds_to_first=first / 1000 if first else None,
    )


def stop(user: User, pk: UUID) -> None:
    row = Generation.objects.filter(pk=pk, owner=user, kind=Generation.Kind.API).first()
    if row:
        gateway.cancel(row)
