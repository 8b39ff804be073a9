"""Pages of long lists, as OpenAI has them: so many after this one, in this order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from django.http import HttpRequest

from chatsite.api.errors import ApiError, invalid

Each = TypeVar("Each")
MOST = 100
USUAL = 20


@dataclass(frozen=True, slots=True)
class Page:
    limit: int
    after: str
    descending: bool

    def cut(self, data: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """This page of a whole list, which is given with the oldest first."""
        ordered = list(reversed(data)) if self.descending else list(data)
        if self.after:
            ids = [each["id"] for each in ordered]
            if self.after not in ids:
                raise unknown_place(self.after)
            ordered = ordered[ids.index(self.after) + 1 :]
        return self.listed(ordered, lambda each: each)

    def listed(
        self, found: Iterable[Each], told: Callable[[Each], dict[str, Any]]
    ) -> dict[str, Any]:
        """The list as it is told, of what comes after the place that was asked for."""
        some = list(islice(found, self.limit + 1))
        data = [told(each) for each in some[: self.limit]]
        return {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else "",
            "last_id": data[-1]["id"] if data else "",
            "has_more": len(some) > self.limit,
        }


def asked_page(request: HttpRequest, order: str) -> Page:
    """The page that the address asks for; `order` where it names none."""
    limit = request.GET.get("limit", str(USUAL))
    if not limit.isdecimal() or len(limit) > 9 or not 1 <= int(limit) <= MOST:
        raise invalid(f"'limit' is a number from 1 to {MOST}.", "limit")
    order = request.GET.get("order", order)
    if order not in ("asc", "desc"):
        raise invalid("'order' is asc or desc.", "order")
    after = request.GET.get("after", "")
    if "\x00" in after:
        raise unknown_place("")
    return Page(int(limit), after, order == "desc")


def unknown_place(after: str) -> ApiError:
    return invalid(f"There is nothing with the id '{after[:64]}' in this list.", "after")
