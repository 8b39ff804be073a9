"""Groups of people: who is in them, and what is for them only."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from chatsite.accounts import groups
from chatsite.accounts.models import User
from chatsite.catalogue import actions
from chatsite.catalogue.models import Model


@pytest.fixture
def readers(db: None) -> Group:
    return groups.make("Readers")


@pytest.fixture
def model(db: None) -> Model:
    return Model.objects.create(name="echo", engine="echo", source={})


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int | None, str]]:
    """The hints to open pages, in place of those that go over Redis."""
    sent: list[tuple[int | None, str]] = []
    monkeypatch.setattr(
        "chatsite.gateway.notices._send", lambda n: sent.append((n["user"], n["topic"]))
    )
    return sent


def test_it_works(alice_client: Client, bob: User, charlie: User, model: Model) -> None:
    """A group is made, Bob is put in, a model is for it: Bob may use it, Charlie may not."""
    made = alice_client.post("/settings/groups/new", {"name": "Readers"})
    group = Group.objects.get(name="Readers")
    assert made.headers["Location"] == f"/settings/groups/{group.pk}"
    put = {"names": "bob"}
    page = alice_client.post(f"/settings/groups/{group.pk}/people", put, follow=True)
    assert "1 is new in it." in page.content.decode()
    model.groups.add(group)
    assert actions.usable_names(bob) == ["echo"]
    assert actions.usable_names(charlie) == []
    page = alice_client.get(f"/settings/groups/{group.pk}")
    assert "They may use: echo" in page.content.decode()
    assert "1 person" in alice_client.get("/settings/groups").content.decode()


def test_a_person_s_page_tells_the_groups(alice_client: Client, bob: User, readers: Group) -> None:
    link = f'href="/settings/groups/{readers.pk}"'
    assert link not in alice_client.get(f"/settings/users/{bob.pk}").content.decode()
    groups.put_in(readers, "bob")
    assert link in alice_client.get(f"/settings/users/{bob.pk}").content.decode()


def test_who_is_taken_out_may_use_it_no_more(
    alice_client: Client, bob: User, readers: Group, model: Model
) -> None:
    groups.put_in(readers, "bob")
    model.groups.add(readers)
    alice_client.post(f"/settings/groups/{readers.pk}/take", {"name": "bob"})
    assert not readers.user_set.exists()
    assert actions.usable_names(bob) == []


@pytest.mark.parametrize(
    "names", ["bob,charlie", "BOB charlie", "bob；bob，charlie、", " bob\n\tcharlie "]
)
def test_several_at_once(names: str, bob: User, charlie: User, readers: Group) -> None:
    assert groups.put_in(readers, names) == [bob, charlie]
    assert groups.put_in(readers, names) == []


@pytest.mark.parametrize("names", ["bob, nobody", "", " , ", "nobody\0", "x" * 400])
def test_of_an_unknown_name_nobody_is_put_in(
    names: str, alice_client: Client, bob: User, readers: Group
) -> None:
    address = f"/settings/groups/{readers.pk}/people"
    page = alice_client.post(address, {"names": names}, follow=True).content.decode()
    assert "notice--error" in page
    assert not readers.user_set.exists()


@pytest.mark.parametrize("name", ["Readers", "readers", "", "  ", "x" * 151, "a\0b"])
def test_bad_and_taken_names(name: str, alice_client: Client, readers: Group) -> None:
    page = alice_client.post("/settings/groups/new", {"name": name})
    assert page.status_code == 400
    assert 'class="field__error"' in page.content.decode()
    assert Group.objects.count() == 1


def test_rename(alice_client: Client, readers: Group) -> None:
    groups.make("Writers")
    address = f"/settings/groups/{readers.pk}/rename"
    taken = alice_client.post(address, {"name": "WRITERS"})
    assert taken.status_code == 400
    assert "<h1>Readers</h1>" in taken.content.decode()
    alice_client.post(address, {"name": "READERS"})
    readers.refresh_from_db()
    assert readers.name == "READERS"


def test_delete_asks_first(alice_client: Client, bob: User, readers: Group) -> None:
    groups.put_in(readers, "bob")
    address = f"/settings/groups/{readers.pk}/delete"
    assert "Delete Readers?" in alice_client.get(address).content.decode()
    page = alice_client.post(address, follow=True)
    assert "Readers is deleted." in page.content.decode()
    assert not Group.objects.exists()
    assert User.objects.filter(pk=bob.pk).exists()


def test_no_model_is_open_to_everybody_because_its_group_went(
    alice_client: Client, bob: User, readers: Group, model: Model
) -> None:
    model.groups.add(readers)
    address = f"/settings/groups/{readers.pk}/delete"
    assert "for this group alone: echo" in alice_client.get(address).content.decode()
    page = alice_client.post(address, follow=True)
    assert "First choose who else may use these models: echo" in page.content.decode()
    assert actions.usable_names(bob) == []
    # Another group keeps it closed: then this one may go.
    model.groups.add(groups.make("Writers"))
    alice_client.post(address)
    assert [group.name for group in Group.objects.all()] == ["Writers"]
    assert actions.usable_names(bob) == []


def test_djangos_admin_deletes_no_group(alice_client: Client, readers: Group) -> None:
    assert alice_client.get(f"/admin/auth/group/{readers.pk}/change/").status_code == 200
    assert (
        alice_client.post(f"/admin/auth/group/{readers.pk}/delete/", {"post": "yes"}).status_code
        == 403
    )
    assert Group.objects.exists()


def test_open_pages_of_those_people_are_told(
    bob: User,
    charlie: User,
    readers: Group,
    told: list[tuple[int | None, str]],
    django_capture_on_commit_callbacks: object,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        groups.put_in(readers, "bob, charlie")
    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        groups.take_out(readers, charlie)
    assert told == [(bob.pk, "models"), (charlie.pk, "models"), (charlie.pk, "models")]


def test_the_pages_are_there_in_chinese(
    alice_client: Client, bob: User, readers: Group, model: Model
) -> None:
    groups.put_in(readers, "bob")
    model.groups.add(readers)
    chinese = {"Accept-Language": "zh-CN"}
    page = alice_client.get("/settings/groups", headers=chinese).content.decode()
    assert "<h1>群组</h1>" in page
    assert "1 人" in page
    address = f"/settings/groups/{readers.pk}"
    page = alice_client.get(address, headers=chinese).content.decode()
    assert "他们可以使用：echo" in page
    assert 'aria-label="移出 bob"' in page
    page = alice_client.post(f"{address}/delete", follow=True, headers=chinese).content.decode()
    assert "请先选择还有谁可以使用这些模型：echo" in page


def test_unknown_groups_and_people_are_not_found(alice_client: Client, readers: Group) -> None:
    for pk in (0, 987654, 10**30):
        assert alice_client.get(f"/settings/groups/{pk}").status_code == 404
    for name in ("nobody", "", "a\0b"):
        answer = alice_client.post(f"/settings/groups/{readers.pk}/take", {"name": name})
        assert answer.status_code == 404


def test_names_are_shown_as_text(alice_client: Client) -> None:
    group = groups.make("<script>alert(1)</script>")
    for page in ("", f"/{group.pk}", f"/{group.pk}/delete"):
        shown = alice_client.get(f"/settings/groups{page}").content.decode()
        assert "<script>alert" not in shown
        assert "&lt;script&gt;alert" in shown


def test_the_list_needs_few_queries(
    alice_client: Client, django_assert_max_num_queries: object
) -> None:
    Group.objects.bulk_create(Group(name=f"group{n}") for n in range(50))
    with django_assert_max_num_queries(5):  # type: ignore[operator]
        assert "group49" in alice_client.get("/settings/groups").content.decode()
