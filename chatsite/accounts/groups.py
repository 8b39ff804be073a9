"""The one writer of groups of people. What a group opens, the rooms above say here: this one knows
no models."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import Count, QuerySet

from chatsite.accounts.errors import GroupInUseError, GroupNameTakenError, NobodyError
from chatsite.accounts.models import User
from chatsite.gateway import notices


@dataclass(frozen=True, slots=True)
class Opening:
    """What the people of a group may use, by its name. `alone`: no other group opens it, so that
    without this one it would be open to everybody."""

    name: str
    alone: bool


Opens = Callable[[Group], list[Opening]]
_sources: list[Opens] = []

# Names stand in a line with commas or spaces between, as somebody would paste them; a name of a
# person has neither.
BETWEEN = re.compile(r"[\s,;，、；]+")
MOST_AT_ONCE = 500


def declare(opens: Opens) -> None:
    """Called once at the start by the room that knows what only the people of a group may use."""
    _sources.append(opens)


def opens(group: Group) -> list[Opening]:
    """What people may use because they are in this group."""
    return [opening for source in _sources for opening in source(group)]


def everything() -> QuerySet[Group]:
    """With `people`: how many there are."""
    return Group.objects.annotate(people=Count("user")).order_by("name")


@transaction.atomic
def make(name: str) -> Group:
    return _name(Group(), name)


@transaction.atomic
def rename(group: Group, name: str) -> Group:
    return _name(group, name)


def _name(group: Group, name: str) -> Group:
    if Group.objects.filter(name__iexact=name).exclude(pk=group.pk).exists():
        raise GroupNameTakenError
    group.name = name
    try:
        with transaction.atomic():
            group.save()
    except IntegrityError as error:
        raise GroupNameTakenError from error
    return group


@transaction.atomic
def put_in(group: Group, names: str) -> list[User]:
    """Put people in by their names; of several either all or none. Tells who is new in it."""
    wanted = sorted({name for name in BETWEEN.split(names) if name})[:MOST_AT_ONCE]
    # One by one: each is looked up by its index, in small or capital letters.
    found = {name: User.objects.filter(username__iexact=name).first() for name in wanted}
    unknown = [name for name, person in found.items() if person is None]
    if unknown or not wanted:
        raise NobodyError(unknown)
    there = set(group.user_set.values_list("pk", flat=True))
    new = {person.pk: person for person in found.values() if person and person.pk not in there}
    group.user_set.add(*new)
    _tell(new.values())
    return list(new.values())


@transaction.atomic
def take_out(group: Group, person: User) -> None:
    group.user_set.remove(person)
    _tell([person])


@transaction.atomic
def delete(group: Group) -> None:
    """Refused while something is open to this group alone: it would be open to everybody then."""
    locked = Group.objects.select_for_update().get(pk=group.pk)
    names = [opening.name for opening in opens(locked) if opening.alone]
    if names:
        raise GroupInUseError(names)
    locked.delete()


def _tell(people: Iterable[User]) -> None:
    """Their open pages read the list of models again."""
    for person in people:
        transaction.on_commit(partial(notices.publish, person.pk, "models"))
