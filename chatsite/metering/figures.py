"""What was used, and by which keys, as the pages and the table for download show it. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from django.db.models import F, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from chatsite.accounts.models import ApiKey, User
from chatsite.gateway.models import Generation
from chatsite.metering.models import Limit, Usage

# Days on a page, and in the table for download.
SHOWN, EXPORTED = 30, 366
# Lines of one table; the rest of a large site is in the download.
LINES = 50
NAMES = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens")
# Under other names than the columns': those would stand for the sums then.
SUMS = {f"all_{name}": Sum(name) for name in NAMES}


@dataclass(frozen=True, slots=True)
class Used:
    """Some use, added up. `share` is in percent of the greatest beside it."""

    label: str = ""
    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    share: int = 0
    # What the line is about, where it is a person's or a key's.
    user: int | None = None
    key: int | None = None

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the chart."""

    date: date
    prompt_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def lately(user: User | None = None, days: int = SHOWN) -> QuerySet[Usage]:
    """The rows of the last days: of one person, or of everybody."""
    rows = Usage.objects.filter(day__gt=timezone.localdate() - timedelta(days=days))
    return rows if user is None else rows.filter(user=user)


def total(rows: QuerySet[Usage]) -> Used:
    return Used("", **_figures(rows.aggregate(**SUMS)))


def by_day(rows: QuerySet[Usage]) -> list[Day]:
    """Every day of the page, those without use, too; the oldest first."""
    found = {row["day"]: row for row in rows.values("day").annotate(**SUMS).order_by()}
    today = timezone.localdate()
    days = [today - timedelta(days=ago) for ago in reversed(range(SHOWN))]
    return [_day(day, found.get(day, {})) for day in days]


def _day(day: date, row: Mapping[str, Any]) -> Day:
    used = _figures(row)
    return Day(day, used["prompt_tokens"], used["completion_tokens"], used["requests"])


def by_model(rows: QuerySet[Usage]) -> list[Used]:
    return _lines(rows, "model")


def by_user(rows: QuerySet[Usage]) -> list[Used]:
    return _lines(rows, "user__username", "user_id")


def by_way(rows: QuerySet[Usage]) -> list[Used]:
    """By key, and what came without one: the chat, its titles, programs on this machine."""
    return _lines(rows, "key__name", "key__prefix", "kind", "key_id")


def by_everybodys_way(rows: QuerySet[Usage]) -> list[Used]:
    """The keys of all, with their owners' names."""
    keyed = rows.exclude(key=None)
    return _lines(keyed, "user__username", "key__name", "key__prefix", "kind", "key_id", "user_id")


def _lines(rows: QuerySet[Usage], *fields: str) -> list[Used]:
    """The greatest use first."""
    tokens = F("all_prompt_tokens") + F("all_completion_tokens")
    groups: list[Mapping[str, Any]] = list(
        rows.values(*fields).annotate(**SUMS).order_by(tokens.desc(), *fields)[:LINES]
    )
    lines = [
        Used(_label(group), **_figures(group), user=group.get("user_id"), key=group.get("key_id"))
        for group in groups
    ]
    most = max((line.tokens for line in lines), default=0)
    return [replace(line, share=line.tokens * 100 // most if most else 0) for line in lines]


def _figures(row: Mapping[str, Any]) -> dict[str, int]:
    return {name: row.get(f"all_{name}") or 0 for name in NAMES}


def _label(group: Mapping[str, Any]) -> str:
    if "model" in group:
        return str(group["model"])
    owner = group.get("user__username")
    if "kind" not in group:
        return str(owner)
    way = name_way(str(group["kind"]), group["key__name"] or group["key__prefix"])
    return way if owner is None else f"{owner} · {way}"


def name_way(kind: str, key: object) -> str:
    """What a key is called, or what stands for none."""
    if key:
        return str(key)
    if kind == Generation.Kind.CHAT:
        return _("Chat")
    return _("Titles") if kind == Generation.Kind.TITLE else _("Programs on this machine")


def keys_of(user: User) -> list[tuple[ApiKey, Limit | None]]:
    """The keys that work, each with its limit."""
    working = list(ApiKey.objects.usable().filter(user=user))
    limited = Limit.objects.in_bulk([Limit.of_key(key.pk) for key in working])
    return [(key, limited.get(Limit.of_key(key.pk))) for key in working]


HEAD = [
    *("day", "user", "key", "kind", "model", "requests"),
    *("prompt_tokens", "cached_tokens", "completion_tokens"),
]
# A spreadsheet takes what begins with these for a formula, and people choose their own names.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(rows: QuerySet[Usage]) -> Iterator[Sequence[object]]:
    """Each row as it is, under its heading."""
    yield HEAD
    fields = ("day", "user__username", "key__name", "key__prefix", "kind", "model", *NAMES)
    for day, user, name, prefix, kind, model, *numbers in (
        rows.order_by("day", "user__username", "pk").values_list(*fields).iterator()
    ):
        texts = (user, name or prefix or "", kind, model)
        yield [day.isoformat(), *map(_harmless, texts), *numbers]


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text
