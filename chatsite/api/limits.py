"""Quotas as programs are told of them: OpenAI's headers, and its refusal. It counts nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar

from chatsite.api.errors import FINAL, ApiError
from chatsite.gateway.models import Generation
from chatsite.metering import quotas
from chatsite.metering.quotas import Gauge, OverQuotaError, Standing, Unit

UNITS: tuple[Unit, ...] = ("requests", "tokens")
# Where the caller of this request stood when it was let in.
admitted: ContextVar[Standing | None] = ContextVar("admitted", default=None)


def admit(user: int, key: int | None) -> bool:
    """Whether one more request is late; the refusal where that is what the admin wants."""
    try:
        standing = quotas.admit(user, key)
    except OverQuotaError as refusal:
        raise refused(refusal.gauge, refusal.standing) from None
    admitted.set(standing)
    return standing.late


def headers(rows: Sequence[Generation]) -> dict[str, str]:
    """What the answer to a call with these rows tells of its caller's limits."""
    if not rows:
        return {}
    return told(admitted.get() or quotas.look(rows[0].owner_id, rows[0].key_id))


def told(standing: Standing) -> dict[str, str]:
    """Of each unit the limit of which the least is left."""
    found = {}
    for unit in UNITS:
        if gauge := standing.tightest(unit):
            found[f"x-ratelimit-limit-{unit}"] = str(gauge.limit)
            found[f"x-ratelimit-remaining-{unit}"] = str(gauge.left)
            found[f"x-ratelimit-reset-{unit}"] = span(gauge.resets)
    return found


def refused(gauge: Gauge, standing: Standing) -> ApiError:
    """What begins anew within a minute is worth a repeat; a day's quota is not."""
    known = {**told(standing), "Retry-After": str(gauge.resets)}
    whose = "This API key" if gauge.of_key else "Your account"
    if gauge.span == "minute":
        message = (
            f"Rate limit reached: {whose.lower()} may send {gauge.limit} requests per minute. "
            f"Please try again in {span(gauge.resets)}."
        )
        return ApiError(429, "rate_limit_exceeded", message, headers=known)
    message = (
        f"{whose} has used up its quota of {gauge.limit} {gauge.unit} per day. It begins anew in "
        f"{span(gauge.resets)}; the admin of this site can raise it."
    )
    return ApiError(429, "insufficient_quota", message, headers=known | FINAL)


def span(seconds: int) -> str:
    """As OpenAI writes it: 8s, 6m0s, 17h59m56s."""
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{seconds}s"
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
