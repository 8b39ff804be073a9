"""Limits of tokens and requests: of a person, of a key; refused or late, counted at once."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
import redis
from django.db import connection
from django.utils import timezone

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.metering import actions, quotas
from chatsite.metering.models import Usage
from chatsite.metering.quotas import OverQuotaError, Standing
from tests.site.metering.using import begin, use, used

NOTHING: dict[str, int | None] = {
    "tokens_per_day": None,
    "requests_per_day": None,
    "requests_per_minute": None,
}


def limit_site(*, waits: bool = False, **amounts: int | None) -> None:
    actions.set_site_limits(NOTHING | amounts, waits=waits)


def refusal(user: User, key: int | None = None) -> tuple[str, str, int]:
    with pytest.raises(OverQuotaError) as over:
        quotas.admit(user.pk, key)
    gauge = over.value.gauge
    return gauge.unit, gauge.span, gauge.limit


def test_it_works(bob: User, charlie: User) -> None:
    limit_site(requests_per_day=2)
    for used_up in (1, 2):
        (gauge,) = quotas.admit(bob.pk).gauges
        assert (gauge.used, gauge.left) == (used_up, 2 - used_up)
        assert 0 < gauge.resets <= 24 * 3600
    assert refusal(bob) == ("requests", "day", 2)
    assert refusal(bob) == ("requests", "day", 2)
    assert quotas.admit(charlie.pk).over is None


def test_without_limits_nothing_is_counted(bob: User, broker: redis.Redis) -> None:
    limit_site()
    for _ in range(3):
        assert quotas.admit(bob.pk) == Standing()
    assert broker.keys("quota:*") == []


def test_tokens_of_today_count_closed_and_running(bob: User) -> None:
    limit_site(tokens_per_day=30)
    use(bob)
    used(bob, days_ago=1, prompt_tokens=1000)
    running = begin(bob)
    (gauge,) = quotas.admit(bob.pk).gauges
    assert (gauge.used, gauge.left) == (15, 15)
    running.position = 15
    running.save()
    assert refusal(bob) == ("tokens", "day", 30)


def test_titles_are_nobodys_quota(bob: User) -> None:
    limit_site(tokens_per_day=10, requests_per_day=1)
    use(bob, kind="title")
    begin(bob, kind="title")
    assert quotas.admit(bob.pk).over is None
    assert Usage.objects.get().prompt_tokens == 10


def test_a_person_has_the_sites_or_their_own(bob: User) -> None:
    limit_site(requests_per_day=0)
    assert refusal(bob)[2] == 0
    actions.set_person_limits(bob, NOTHING)
    assert quotas.admit(bob.pk) == Standing()
    actions.set_person_limits(bob, NOTHING | {"requests_per_day": 1})
    assert quotas.admit(bob.pk).over is None
    assert refusal(bob)[2] == 1
    actions.set_person_limits(bob, None)
    assert refusal(bob)[2] == 0


def test_a_key_has_a_limit_on_top(bob: User) -> None:
    small, large = keys.make_key(bob)[0], keys.make_key(bob)[0]
    actions.set_key_limits(small, NOTHING | {"tokens_per_day": 10})
    use(bob, large)
    use(bob)
    assert quotas.admit(bob.pk, small.pk).over is None
    use(bob, small)
    with pytest.raises(OverQuotaError) as over:
        quotas.admit(bob.pk, small.pk)
    assert over.value.gauge.of_key
    assert quotas.admit(bob.pk, large.pk) == Standing()
    # Together they are their owner's.
    limit_site(tokens_per_day=45)
    assert refusal(bob, large.pk) == ("tokens", "day", 45)


def test_a_refused_request_is_not_counted(bob: User) -> None:
    key = keys.make_key(bob)[0]
    limit_site(requests_per_day=5)
    actions.set_key_limits(key, NOTHING | {"requests_per_minute": 1})
    quotas.admit(bob.pk, key.pk)
    for _ in range(3):
        assert refusal(bob, key.pk) == ("requests", "minute", 1)
    assert [gauge.left for gauge in quotas.look(bob.pk).gauges] == [4]


def test_a_minute_is_over_soon(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_site(requests_per_minute=1)
    now = timezone.now().replace(second=30)
    monkeypatch.setattr(timezone, "now", lambda: now)
    assert quotas.admit(bob.pk).gauges[0].resets == 30
    assert refusal(bob) == ("requests", "minute", 1)
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(seconds=31))
    assert quotas.admit(bob.pk).over is None


def test_a_new_day_begins_at_midnight(bob: User, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_site(requests_per_day=1, tokens_per_day=10)
    use(bob)
    assert refusal(bob)[1] == "day"
    tomorrow = timezone.now() + timedelta(days=1)
    monkeypatch.setattr(timezone, "now", lambda: tomorrow)
    assert quotas.admit(bob.pk).over is None


def test_the_admin_may_let_it_wait(bob: User) -> None:
    limit_site(waits=True, requests_per_day=1, tokens_per_day=100)
    assert not quotas.admit(bob.pk).late
    standing = quotas.admit(bob.pk)
    assert standing.late
    assert standing.over is not None
    assert standing.over.unit == "requests"
    use(bob, prompt_tokens=100)
    assert quotas.admit(bob.pk).late
    # Also what one's own key allows no more.
    limit_site(waits=True)
    key = keys.make_key(bob)[0]
    actions.set_key_limits(key, NOTHING | {"tokens_per_day": 0})
    assert quotas.admit(bob.pk, key.pk).late


def test_looking_counts_nothing(bob: User) -> None:
    limit_site(requests_per_day=2)
    quotas.admit(bob.pk)
    for _ in range(3):
        assert quotas.look(bob.pk).gauges[0].used == 1
    assert quotas.look(bob.pk).over is None
    quotas.admit(bob.pk)
    assert quotas.look(bob.pk).over is not None


def test_a_lost_counter_gives_nobody_a_second_day(bob: User, broker: redis.Redis) -> None:
    limit_site(requests_per_day=3)
    for _ in range(2):
        quotas.admit(bob.pk)
        use(bob)
    broker.flushall()
    assert quotas.admit(bob.pk).gauges[0].left == 0
    assert refusal(bob) == ("requests", "day", 3)


def test_what_the_rows_know_is_enough_while_redis_is_away(
    bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_site(requests_per_day=2)

    def away(**_: object) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(quotas, "_script", lambda: away)
    assert quotas.admit(bob.pk).over is None
    use(bob)
    begin(bob)
    assert refusal(bob) == ("requests", "day", 2)


@pytest.mark.django_db(transaction=True)
def test_of_many_at_the_same_moment_as_many_are_let_in_as_may(bob: User) -> None:
    limit_site(requests_per_day=5)
    start = threading.Barrier(12)
    let_in: list[bool] = []

    def come() -> None:
        start.wait()
        try:
            quotas.admit(bob.pk)
            let_in.append(True)
        except OverQuotaError:
            let_in.append(False)
        finally:
            connection.close()

    threads = [threading.Thread(target=come) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(let_in) == [False] * 7 + [True] * 5
