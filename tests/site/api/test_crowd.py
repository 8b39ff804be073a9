"""Nobody fills the queue: so many requests may wait for one person, and so many for all."""

from __future__ import annotations

from typing import Any

import pytest
from pytest_django import Settings

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.api import crowd
from chatsite.gateway.models import Generation
from tests.site.api.conftest import Ask, post_raw

BODY = '{"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}'


@pytest.fixture(autouse=True)
def limits(settings: Settings) -> None:
    settings.CHATSITE_PENDING_PER_USER, settings.CHATSITE_PENDING = 3, 4


def pending(user: User, count: int, status: str = "live") -> None:
    for _ in range(count):
        Generation.objects.create(
            owner=user, kind=Generation.Kind.API, model="echo", request={}, status=status
        )


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_it_works(ask: Ask, bob: User) -> None:
    pending(bob, 3)
    answer: Any = ask()
    assert code(answer) == (429, "too_many_requests")
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert int(answer.headers["Retry-After"]) > 0
    assert Generation.objects.count() == 3


def test_choices_count_each(ask: Ask, bob: User) -> None:
    pending(bob, 1)
    assert code(ask(n=3))[0] == 429
    crowd.admit(bob, 2)


def test_what_has_ended_counts_no_more(bob: User) -> None:
    pending(bob, 9, status="done")
    crowd.admit(bob, 3)


def test_all_together_are_bounded_too(bob: User, charlie: User) -> None:
    pending(bob, 3)
    pending(charlie, 1)
    answer = post_raw(BODY, keys.make_key(charlie)[1])
    assert code(answer) == (503, "overloaded")
    assert int(answer.headers["Retry-After"]) > 0
