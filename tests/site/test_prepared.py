"""Prepared questions answer what Django's own do, composed once, from any thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections
from django.db.models import Exists, OuterRef, QuerySet
from django.test.utils import CaptureQueriesContext

from chatsite.accounts.models import User
from chatsite.catalogue.models import Alias, Model, Provider
from chatsite.prepared import Prepared

pytestmark = pytest.mark.django_db
# What stands for another text while a question is composed.
MARK_LIKE = "prepared text 1"


def of_name(name: str) -> QuerySet[Model]:
    aliased = Exists(Alias.objects.filter(model=OuterRef("pk")))
    models = Model.objects.filter(enabled=True).select_related("provider")
    return models.annotate(aliased=aliased).filter(name=name)


def test_it_finds_what_the_plain_question_finds() -> None:
    far = Provider.objects.create(name="far", permit="sealed")
    Model.objects.create(name="here", title="Here", source={}, settings={"slots": 3})
    there = Model.objects.create(name="there", source={}, provider=far)
    Model.objects.create(name="off", source={}, enabled=False)
    Alias.objects.create(name="yonder", model=there)
    prepared = Prepared(1, of_name)
    for name in ("here", "there", "off", "nobody", "'; --", "模型", MARK_LIKE):
        found, plain = prepared(name), list(of_name(name))
        assert found == plain
        assert [vars_of(model) for model in found] == [vars_of(model) for model in plain]


def vars_of(model: Model) -> dict[str, object]:
    fields = {f.attname: getattr(model, f.attname) for f in model._meta.concrete_fields}
    provider = model.provider and model.provider.permit
    return {**fields, "far": provider, "aliased": model.aliased}  # type: ignore[attr-defined]


def test_it_is_composed_once_and_asked_each_time() -> None:
    made: list[str] = []

    def make(name: str) -> QuerySet[Model]:
        made.append(name)
        return of_name(name)

    prepared = Prepared(1, make)
    with CaptureQueriesContext(connections["default"]) as asked:
        assert prepared("late") == []
        Model.objects.create(name="late", source={})
        assert [model.name for model in prepared("late")] == ["late"]
        Model.objects.filter(name="late").update(enabled=False)
        assert prepared("late") == []
    assert len(made) == 1
    assert sum("SELECT" in each["sql"] and "'late'" in each["sql"] for each in asked) == 3


def test_what_comes_together_is_found_together() -> None:
    User.objects.create_user("alice")
    User.objects.create_user("bob")
    prepared = Prepared(3, lambda *names: User.objects.filter(username__in=names))
    assert {user.username for user in prepared("alice", "bob", "alice")} == {"alice", "bob"}
    assert [user.username for user in prepared("bob", "bob", "bob")] == ["bob"]


def test_a_condition_that_changes_its_text_is_refused() -> None:
    prepared = Prepared(1, lambda part: User.objects.filter(username__contains=part))
    with pytest.raises(AssertionError, match="changed on its way"):
        prepared("ali")


@pytest.mark.django_db(transaction=True)
def test_threads_ask_by_their_own_connections() -> None:
    User.objects.create_user("alice")
    prepared = Prepared(1, lambda name: User.objects.filter(username=name))
    assert len(prepared("alice")) == 1

    def ask(_: int) -> int:
        try:
            return len(prepared("alice"))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(8))) == [1] * 8
