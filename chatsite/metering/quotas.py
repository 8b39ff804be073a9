"""Whether one more request is within the limits. Counts requests in one step; writes no row.

Tokens of today are those of the rows and those that are being written; the prompt of an answer
counts when it is done. Requests are counted in Redis when they are let in, and never fewer than the
rows know of, so that a lost counter gives nobody a second day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal

import redis
from django.db.models import Count, F, Q, QuerySet, Sum
from django.utils import timezone

from chatsite.gateway.broker import connect
from chatsite.gateway.models import Generation
from chatsite.metering.models import Limit, Usage
from chatsite.prepared import Prepared

Unit = Literal["tokens", "requests"]
Span = Literal["day", "minute"]

LIMITS = Prepared(3, lambda *scopes: Limit.objects.filter(scope__in=scopes))
# keys: counters; for each its limit, what is known at least, seconds to live; last how to count:
# `look` not at all, `fit` where all have room, `any` whatever the limits say
# -> 1 where it was counted, then each counter's count
COUNT = """
local how = ARGV[#ARGV]
local counts, room = {}, true
for i, key in ipairs(KEYS) do
  local known = tonumber(redis.call('GET', key) or 0)
  counts[i] = math.max(known, tonumber(ARGV[i*3 - 1]))
  if counts[i] >= tonumber(ARGV[i*3 - 2]) then room = false end
end
local counted = how == 'any' or (how == 'fit' and room)
for i, key in ipairs(KEYS) do
  if counted then
    counts[i] = counts[i] + 1
    redis.call('SET', key, counts[i], 'EX', ARGV[i*3])
  end
end
return {counted and 1 or 0, unpack(counts)}
"""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One limit and what is used of it. `resets`: the seconds until its span ends."""

    unit: Unit
    span: Span
    limit: int
    used: int
    resets: int
    # Whether it is a key's and not the person's.
    of_key: bool = False

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)

    @property
    def share(self) -> int:
        """In percent."""
        return min(100, self.used * 100 // self.limit) if self.limit else 100


@dataclass(frozen=True, slots=True)
class Standing:
    """Where somebody stands. `over` is the limit that is used up, the one that lasts longest."""

    gauges: tuple[Gauge, ...] = ()
    over: Gauge | None = None
    late: bool = False

    def tightest(self, unit: Unit) -> Gauge | None:
        """The limit of which the least is left."""
        found = [gauge for gauge in self.gauges if gauge.unit == unit]
        return min(found, key=lambda gauge: (gauge.left, -gauge.resets), default=None)


class OverQuotaError(Exception):
    """A limit is used up and the admin chose that it refuses."""

    kind = "over_quota"

    def __init__(self, standing: Standing, gauge: Gauge) -> None:
        super().__init__(self.kind)
        self.standing, self.gauge = standing, gauge


@dataclass(frozen=True, slots=True)
class Use:
    """What was used today by one way or another."""

    tokens: int = 0
    requests: int = 0

    def __add__(self, other: Use) -> Use:
        return Use(self.tokens + other.tokens, self.requests + other.requests)


def admit(user: int, key: int | None = None) -> Standing:
    """Let one more request in and count it. Beyond a limit it is late, or refused."""
    limits = _limits(user, key)
    if not limits:
        return Standing()
    waits = _waits(limits)
    gauges = _tokens(limits)
    over = [gauge for gauge in gauges if not gauge.left]
    counters = _counters(limits)
    how = "any" if waits else "look" if over else "fit"
    counted, requests = _count(counters, how)
    over += [gauge for gauge in requests if gauge.used - counted >= gauge.limit]
    worst = max(over, key=lambda gauge: gauge.resets, default=None)
    standing = Standing((*gauges, *requests), worst, late=bool(over))
    if worst and not waits:
        raise OverQuotaError(standing, worst)
    return standing


def look(user: int, key: int | None = None) -> Standing:
    """Where somebody stands, without counting."""
    limits = _limits(user, key)
    if not limits:
        return Standing()
    gauges = (*_tokens(limits), *_count(_counters(limits), "look")[1])
    over = [gauge for gauge in gauges if not gauge.left]
    return Standing(gauges, max(over, key=lambda gauge: gauge.resets, default=None))


@dataclass(frozen=True, slots=True)
class _Held:
    """A limit with what its scope has used today."""

    limit: Limit
    scope: str
    use: Use
    waits: bool
    of_key: bool


def _limits(user: int, key: int | None) -> list[_Held]:
    """What is limited at all: of the person, and of the key."""
    # Where there is no key, the site's scope stands for it.
    scopes = (Limit.SITE, Limit.of_user(user), Limit.SITE if key is None else Limit.of_key(key))
    rows = {limit.scope: limit for limit in LIMITS(*scopes)}
    site = rows.get(Limit.SITE)
    person = rows.get(Limit.of_user(user), site)
    keyed = None if key is None else rows.get(Limit.of_key(key))
    if not (person and person.is_set) and not (keyed and keyed.is_set):
        return []
    waits = bool(site and site.waits)
    uses = use_today(user)
    found = []
    if person and person.is_set:
        whole = sum(uses.values(), Use())
        found.append(_Held(person, Limit.of_user(user), whole, waits, of_key=False))
    if keyed and keyed.is_set:
        found.append(_Held(keyed, keyed.scope, uses.get(key, Use()), waits, of_key=True))
    return found


def use_today(user: int) -> dict[int | None, Use]:
    """By key, null for what came without: closed and running together. Titles are not counted."""
    today = timezone.localdate()
    closed = Usage.objects.filter(user_id=user, day=today)
    live = Generation.objects.filter(
        owner_id=user, status=Generation.Status.LIVE, created__gte=_midnight()
    )
    asked = Count("pk", filter=Q(part=0, choice=0))
    tokens = Sum(F("prompt_tokens") + F("completion_tokens"))
    uses = _sum(closed, spent=tokens, asked=Sum("requests"))
    for key, use in _sum(live, spent=Sum("position"), asked=asked).items():
        uses[key] = uses.get(key, Use()) + use
    return uses


def _sum(rows: QuerySet[Any], **figures: Any) -> dict[int | None, Use]:
    rows = rows.exclude(kind=Generation.Kind.TITLE).values("key_id").annotate(**figures).order_by()
    return {row["key_id"]: Use(row["spent"] or 0, row["asked"] or 0) for row in rows}


def _tokens(limits: Sequence[_Held]) -> list[Gauge]:
    resets = _day_left()
    return [
        Gauge("tokens", "day", held.limit.tokens_per_day, held.use.tokens, resets, held.of_key)
        for held in limits
        if held.limit.tokens_per_day is not None
    ]


def _waits(limits: Sequence[_Held]) -> bool:
    return any(held.waits for held in limits)


def _counters(limits: Sequence[_Held]) -> dict[str, Gauge]:
    """The counters of requests by name, with what the rows know of each."""
    now = timezone.now()
    minute = int(now.timestamp()) // 60
    found: dict[str, Gauge] = {}
    for held in limits:
        place = f"quota:{held.scope}"
        if (limit := held.limit.requests_per_day) is not None:
            gauge = Gauge("requests", "day", limit, held.use.requests, _day_left(), held.of_key)
            found[f"{place}:{timezone.localdate()}"] = gauge
        if (limit := held.limit.requests_per_minute) is not None:
            left = 60 - int(now.timestamp()) % 60
            found[f"{place}:{minute}"] = Gauge("requests", "minute", limit, 0, left, held.of_key)
    return found


def _count(counters: Mapping[str, Gauge], how: str) -> tuple[int, list[Gauge]]:
    """1 where it was counted, and the gauges with their counts."""
    gauges = list(counters.values())
    if not gauges:
        return 0, []
    args = [value for g in gauges for value in (g.limit, g.used, g.resets + 60)]
    try:
        counted, *counts = _script()(keys=list(counters), args=[*args, how], client=connect())
    except redis.RedisError:
        # What the rows know is enough until it is back.
        return 0, gauges
    return counted, [replace(g, used=n) for g, n in zip(gauges, counts, strict=True)]


@cache
def _script() -> Any:
    return connect().register_script(COUNT)


def _midnight() -> datetime:
    return timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)


def _day_left() -> int:
    tomorrow = _midnight() + timedelta(days=1)
    return max(1, int((tomorrow - timezone.now()).total_seconds()))
