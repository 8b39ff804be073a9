"""The list of conversations by date. It reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext

from chatsite.accounts.models import User
from chatsite.chat.models import Conversation, Message
from chatsite.chat.thread import live_ids

SHOWN = 100


@dataclass(frozen=True, slots=True)
class Entry:
    id: UUID
    title: str
    updated: datetime
    is_current: bool
    live: bool

    @property
    def url(self) -> str:
        return reverse("conversation", args=[self.id])


@dataclass(frozen=True, slots=True)
class Group:
    """Entries of one stretch of time; `continued` if the page before ended in the same one."""

    label: str
    conversations: list[Entry]
    continued: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """After which conversation the list goes on."""

    updated: datetime
    id: UUID

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raises ValueError for what is no cursor of ours."""
        updated, _, pk = text.partition("~")
        moment = datetime.fromisoformat(updated)
        if timezone.is_naive(moment):
            raise ValueError(text)
        return cls(moment, UUID(pk))

    def __str__(self) -> str:
        return f"{self.updated.isoformat()}~{self.id}"


@dataclass(frozen=True, slots=True)
class Sidebar:
    """`more` is the cursor of the next page, empty at the end."""

    groups: list[Group]
    more: str


def load(owner: User, current: UUID | None = None, after: Cursor | None = None) -> Sidebar:
    rows = Conversation.objects.filter(owner=owner, deleted=None).order_by("-updated", "-id")
    if after is not None:
        rows = rows.filter(Q(updated__lt=after.updated) | Q(updated=after.updated, id__lt=after.id))
    found = list(rows.only("id", "title", "updated")[: SHOWN + 1])
    live = set(
        Message.objects.filter(generation__in=live_ids(), conversation__owner=owner).values_list(
            "conversation_id", flat=True
        )
    )
    entries = [
        Entry(c.pk, title_of(c.title), c.updated, c.pk == current, c.pk in live)
        for c in found[:SHOWN]
    ]
    more = str(Cursor(entries[-1].updated, entries[-1].id)) if len(found) > SHOWN else ""
    return Sidebar(_groups(entries, after), more)


def title_of(title: str) -> str:
    return title or gettext("New chat")


def _groups(entries: list[Entry], after: Cursor | None) -> list[Group]:
    today = timezone.localdate()
    before = label(after.updated, today) if after else None
    return [
        Group(name, list(members), continued=name == before)
        for name, members in groupby(entries, key=lambda entry: label(entry.updated, today))
    ]


def label(moment: datetime, today: date) -> str:
    """The heading under which a conversation stands, by the clock of the installation."""
    day = timezone.localdate(moment)
    if day >= today:
        return gettext("Today")
    if day == today - timedelta(days=1):
        return gettext("Yesterday")
    if day >= today - timedelta(days=7):
        return gettext("Previous 7 days")
    if day >= today - timedelta(days=30):
        return gettext("Previous 30 days")
    return date_format(day, "YEAR_MONTH_FORMAT")
