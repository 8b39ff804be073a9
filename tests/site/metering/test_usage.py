"""What an answer used is counted once, by day, person, key, way and model."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
import redis
from django.db import connection, transaction
from django.utils import timezone

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.chat import actions as chat
from chatsite.gateway import actions as gateway
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import End
from chatsite.metering import actions
from chatsite.metering.models import Usage
from chatsite.steward.rounds import Steward
from inference.contract import Finish
from tests.site.chat.socket import Worker
from tests.site.chat.talk import draft
from tests.site.metering.using import begin, end, use

NUMBERS = ("requests", "prompt_tokens", "cached_tokens", "completion_tokens")


def numbers(**which: object) -> list[tuple[int, ...]]:
    return list(Usage.objects.filter(**which).order_by("pk").values_list(*NUMBERS))


def test_it_works(bob: User) -> None:
    key = keys.make_key(bob)[0]
    use(bob, key)
    use(bob, key, completion_tokens=7)
    use(bob)
    assert numbers(user=bob, key=key, model="echo", kind="api") == [(2, 20, 8, 12)]
    assert numbers(user=bob, key=None) == [(1, 10, 4, 5)]


def test_it_counts_once(bob: User) -> None:
    generation = begin(bob)
    assert end(generation)
    assert not end(Generation.objects.get(pk=generation.pk))
    assert numbers() == [(1, 10, 4, 5)]


def test_choices_share_what_was_read_and_prompts_one_request(bob: User) -> None:
    for part in range(2):
        for choice in range(3):
            use(bob, part=part, choice=choice)
    assert numbers() == [(1, 20, 8, 30)]


def test_what_was_stopped_or_failed_counts_as_far_as_it_came(bob: User) -> None:
    for reason in ("cancelled", "error"):
        assert actions.close(begin(bob), End(Finish("x", reason), {"completion_tokens": 2}))
    assert numbers() == [(2, 0, 0, 4)]


def test_it_belongs_to_the_day_on_which_it_was_asked(bob: User) -> None:
    generation = begin(bob)
    generation.created = timezone.now() - timedelta(days=1)
    end(generation)
    assert Usage.objects.get().day == timezone.localdate() - timedelta(days=1)


def test_it_goes_with_its_owner(bob: User, charlie: User) -> None:
    for person in (bob, charlie):
        for key in (keys.make_key(person)[0], keys.make_key(person)[0], None):
            use(person, key)
    bob.delete()
    assert {row.user for row in Usage.objects.all()} == {charlie}


def test_a_key_that_was_revoked_meanwhile_is_counted(bob: User) -> None:
    key = keys.make_key(bob)[0]
    generation = begin(bob, key)
    keys.revoke_key(bob, key.pk)
    end(generation)
    assert numbers(key=key) == [(1, 10, 4, 5)]


@pytest.mark.django_db(transaction=True)
def test_the_steward_counts_the_chat_and_its_title(bob: User, broker: redis.Redis) -> None:
    answer = chat.say(bob, None, draft("Hello")).answer.generation
    assert answer is not None
    worker = Worker(broker, answer.pk.hex)
    worker.write(3)
    worker.end()
    one, two = Steward(), Steward()
    for steward in (one, two, one, two):
        steward.round()
    assert numbers(kind="chat", user=bob, key=None) == [(1, 0, 0, 3)]
    title = Generation.objects.get(kind=Generation.Kind.TITLE)
    Worker(broker, title.pk.hex).end()
    one.round()
    assert numbers(kind="title") == [(1, 0, 0, 0)]


@pytest.mark.django_db(transaction=True)
def test_who_says_the_next_thing_at_once_counts_what_it_closes(
    bob: User, broker: redis.Redis
) -> None:
    said = chat.say(bob, None, draft("Hello"))
    assert said.answer.generation is not None
    worker = Worker(broker, said.answer.generation.pk.hex)
    worker.write(3)
    worker.end()
    chat.say(bob, said.conversation.pk, draft("And then?"))
    Steward().round()
    assert numbers(kind="chat") == [(1, 0, 0, 3)]


@pytest.mark.django_db(transaction=True)
def test_nothing_is_counted_that_is_not_closed(bob: User) -> None:
    generation = begin(bob)
    with transaction.atomic():
        end(generation)
        transaction.set_rollback(True)
    assert numbers() == []
    assert Generation.objects.get().is_live


@pytest.mark.django_db(transaction=True)
def test_many_at_the_same_moment(bob: User) -> None:
    generations = [begin(bob) for _ in range(8)]
    start = threading.Barrier(len(generations))

    def close(generation: Generation) -> None:
        start.wait()
        try:
            with transaction.atomic():
                end(generation)
        finally:
            connection.close()

    threads = [threading.Thread(target=close, args=[each]) for each in generations]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert numbers() == [(8, 80, 32, 40)]


def test_every_way_of_closing_counts() -> None:
    """Nobody but this room closes through the gateway: what did would not be counted."""
    root = Path(gateway.__file__).parent.parent
    found = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if "gateway.close(" in path.read_text()
    ]
    assert found == ["metering/actions.py"]
