"""The pages of usage: everybody their own, the admin everybody's, and the limits."""

from __future__ import annotations

import csv
import re
from io import StringIO
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from chatsite.accounts import keys
from chatsite.accounts.models import ApiKey, User
from chatsite.metering import quotas, urls
from chatsite.metering.chart import ceiling, draw
from chatsite.metering.figures import SHOWN, by_day, lately
from chatsite.metering.models import Limit
from tests.site.metering.test_quotas import limit_site
from tests.site.metering.using import use, used

ADMINS = ["usage-all", "usage-download", "usage-limits", "usage-person"]


def text(answer: Any) -> str:
    assert answer.status_code == 200, answer.content
    return str(answer.content.decode())


def heights(page: str, kind: str) -> list[int]:
    bars = re.findall(rf'class="usage-{kind}" x="\d+"[^>]* height="(\d+)"', page)
    return [int(height) for height in bars]


@pytest.fixture
def key(bob: User) -> ApiKey:
    return keys.make_key(bob, "laptop")[0]


def test_it_works(bob: User, charlie: User, key: ApiKey, bob_client: Client) -> None:
    use(bob, key, prompt_tokens=1234, completion_tokens=56)
    used(bob, days_ago=3, kind="chat", model="another", prompt_tokens=10, completion_tokens=9000)
    used(charlie, model="secret", prompt_tokens=777_777)
    page = text(bob_client.get("/settings/usage"))
    for words in ("laptop", "1,234", "Chat", "another", "9,000", "10,300 tokens", "2 requests"):
        assert words in page, words
    assert "secret" not in page
    assert "777" not in page
    assert len(heights(page, "read")) == SHOWN
    # The larger day is the taller bar.
    assert heights(page, "written")[-4] > heights(page, "written")[-1] > 0


def test_nothing_yet(bob_client: Client) -> None:
    page = text(bob_client.get("/settings/usage"))
    assert "0 requests" in page
    assert "<table" not in page
    assert sum(heights(page, "read")) == 0


def test_what_is_older_is_not_shown(bob: User, bob_client: Client) -> None:
    used(bob, days_ago=SHOWN, model="older", prompt_tokens=5)
    used(bob, days_ago=SHOWN - 1, model="oldest", prompt_tokens=5)
    page = text(bob_client.get("/settings/usage"))
    assert "oldest" in page
    assert "older<" not in page


def test_limits_show_what_is_left(bob: User, bob_client: Client) -> None:
    limit_site(tokens_per_day=1500)
    use(bob, prompt_tokens=1000, completion_tokens=100)
    page = text(bob_client.get("/settings/usage"))
    assert "1,100 of 1,500" in page
    assert "refused" in page
    limit_site(waits=True, tokens_per_day=1000)
    page = text(bob_client.get("/settings/usage"))
    assert "usage-share--full" in page
    assert "waits behind" in page


def test_the_admin_sees_everybody(
    bob: User, charlie: User, key: ApiKey, alice_client: Client
) -> None:
    use(bob, key, prompt_tokens=100)
    used(charlie, kind="chat", prompt_tokens=4321)
    page = text(alice_client.get("/settings/usage/everybody"))
    for words in ("bob", "charlie", "bob · laptop", "4,321", "2 requests"):
        assert words in page, words
    assert page.index(">charlie<") < page.index(">bob<")


def test_the_table_for_download(bob: User, key: ApiKey, alice: User, alice_client: Client) -> None:
    use(bob, key)
    used(alice, days_ago=40, kind="chat", prompt_tokens=3)
    answer = alice_client.get("/settings/usage/everybody.csv")
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert "attachment" in answer.headers["Content-Disposition"]
    head, *rows = csv.reader(StringIO(text(answer)))
    assert head[:3] == ["day", "user", "key"]
    assert [row[1:] for row in rows] == [
        ["alice", "", "chat", "echo", "1", "3", "0", "0"],
        ["bob", "laptop", "api", "echo", "1", "10", "4", "5"],
    ]


def test_a_spreadsheet_finds_no_formula(bob: User, alice_client: Client) -> None:
    use(bob, keys.make_key(bob, '=HYPERLINK("http://evil.test")')[0])
    used(User.objects.create_user("@sum", password="x"))
    _, *rows = csv.reader(StringIO(text(alice_client.get("/settings/usage/everybody.csv"))))
    assert {row[1] for row in rows} == {"bob", "'@sum"}
    assert '\'=HYPERLINK("http://evil.test")' in {row[2] for row in rows}


def test_the_admin_sets_the_limits(bob: User, alice_client: Client) -> None:
    form = {"tokens_per_day": "5000", "requests_per_day": "", "requests_per_minute": "60"}
    alice_client.post("/settings/usage/limits", {**form, "beyond": "wait"})
    site = Limit.objects.get()
    assert (site.amounts, site.waits) == ((5000, None, 60), True)
    page = text(alice_client.get("/settings/usage/everybody"))
    assert 'value="5000"' in page
    assert re.search(r'value="wait" checked', page)
    assert [gauge.limit for gauge in quotas.look(bob.pk).gauges] == [5000, 60]


@pytest.mark.parametrize("wrong", ["-1", "many", "1.5", "9" * 30])
def test_a_limit_is_a_number(bob: User, alice_client: Client, wrong: str) -> None:
    form = {"tokens_per_day": wrong, "beyond": "refuse"}
    answer = alice_client.post("/settings/usage/limits", form)
    assert answer.status_code == 400
    assert 'class="field__error"' in answer.content.decode()
    form = {"tokens_per_day": wrong, "whose": "own"}
    told = alice_client.post(f"/settings/usage/people/{bob.pk}", form, follow=True)
    assert "whole numbers" in told.content.decode()
    assert not Limit.objects.exists()


def test_a_person_may_have_their_own(bob: User, alice_client: Client) -> None:
    limit_site(tokens_per_day=100)
    page = text(alice_client.get(f"/settings/users/{bob.pk}"))
    assert "100 tokens per day" in page
    form = {"whose": "own", "requests_per_day": "7"}
    done = alice_client.post(f"/settings/usage/people/{bob.pk}", form, follow=True)
    assert "Saved." in done.content.decode()
    assert [gauge.limit for gauge in quotas.look(bob.pk).gauges] == [7]
    assert "0 of 7" in text(alice_client.get(f"/settings/users/{bob.pk}"))
    alice_client.post(f"/settings/usage/people/{bob.pk}", {"whose": "site"})
    assert [gauge.limit for gauge in quotas.look(bob.pk).gauges] == [100]


def test_a_key_has_its_owners_limit(bob: User, key: ApiKey, bob_client: Client) -> None:
    address = f"/settings/usage/keys/{key.pk}"
    assert "laptop" in text(bob_client.get(address))
    answer = bob_client.post(address, {"tokens_per_day": "50"}, follow=True)
    assert "50 tokens per day" in answer.content.decode()
    assert [gauge.limit for gauge in quotas.look(bob.pk, key.pk).gauges] == [50]
    bob_client.post(address, {"tokens_per_day": ""})
    assert quotas.look(bob.pk, key.pk).gauges == ()


def test_an_admin_may_limit_a_key(key: ApiKey, alice_client: Client) -> None:
    address = f"/settings/usage/keys/{key.pk}"
    use(key.user, key)
    for page in (f"/settings/users/{key.user_id}", "/settings/usage/everybody"):
        assert f'href="{address}"' in text(alice_client.get(page))
    answer = alice_client.post(address, {"requests_per_minute": "3"})
    assert answer.headers["Location"] == f"/settings/users/{key.user_id}"
    assert Limit.objects.get().requests_per_minute == 3


def test_r10_the_key_of_another_is_not_found(key: ApiKey, charlie_client: Client) -> None:
    address = f"/settings/usage/keys/{key.pk}"
    assert charlie_client.get(address).status_code == 404
    assert charlie_client.post(address, {"tokens_per_day": "1"}).status_code == 404
    assert charlie_client.get("/settings/usage/keys/987654").status_code == 404
    assert not Limit.objects.exists()


@pytest.mark.parametrize("name", ADMINS)
def test_r12_bob_is_refused(name: str, alice: User, bob_client: Client) -> None:
    address = reverse(name, args=[alice.pk] if name == "usage-person" else [])
    form = {"tokens_per_day": "1", "beyond": "refuse", "whose": "own"}
    assert bob_client.get(address).status_code == 403
    assert bob_client.post(address, form).status_code == 403
    assert not Limit.objects.exists()


def test_no_address_is_forgotten() -> None:
    assert {entry.name for entry in urls.urlpatterns} == {*ADMINS, "usage", "usage-key"}


def test_pages_need_few_queries(
    bob: User, bob_client: Client, alice_client: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        use(bob, keys.make_key(bob, f"key {number}")[0])
    with django_assert_max_num_queries(20):
        text(bob_client.get("/settings/usage"))
    with django_assert_max_num_queries(14):
        text(alice_client.get("/settings/usage/everybody"))


def test_names_are_escaped(bob: User, bob_client: Client, alice_client: Client) -> None:
    key = keys.make_key(bob, "<script>alert(1)</script>")[0]
    use(bob, key)
    pages = ("/settings/usage", f"/settings/usage/keys/{key.pk}")
    for page in (*map(bob_client.get, pages), alice_client.get("/settings/usage/everybody")):
        assert "<script>alert" not in text(page)


def test_no_style_stands_in_the_page(bob: User, bob_client: Client) -> None:
    use(bob)
    assert "style=" not in text(bob_client.get("/settings/usage"))


@pytest.mark.parametrize(
    ("most", "top"), [(0, 1), (1, 1), (3, 3), (10, 10), (11, 20), (6001, 7000)]
)
def test_the_upper_edge_is_a_round_number(most: int, top: int) -> None:
    assert ceiling(most) == top


def test_bars_stay_within_the_drawing(bob: User) -> None:
    for ago in range(SHOWN):
        used(bob, ago, prompt_tokens=7**ago % 1000, completion_tokens=ago)
    chart = draw(by_day(lately(bob)))
    for bar in chart.bars:
        assert 0 <= bar.written_y <= bar.prompt_y <= chart.height
        assert bar.prompt_y + bar.prompt_height == chart.height
        assert bar.x + chart.bar <= chart.width
