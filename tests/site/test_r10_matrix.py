"""R9, R10, R13: every address with an id, asked for by somebody whom the thing does not belong to.
Generated from the addresses themselves: one that is new and not in `things` fails."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.catalogue import actions as catalogue
from tests.site.conftest import sign_in
from tests.site.things import ADMIN, NOBODYS, OWNED, Thing

METHODS = ("get", "post", "put", "patch", "delete")
# What every request leaves behind, whoever makes it.
TRACES = {"Session", "AccessAttempt", "AccessLog", "AccessFailureLog", "ContentType", "Permission"}


@pytest.fixture(autouse=True)
def model(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATSITE_ECHO_MODEL", "1")
    catalogue.register_echo()


def patterns(resolver: URLResolver) -> Iterator[URLPattern]:
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            yield entry
        elif "admin/" not in str(entry.pattern):
            # Django's own admin lets admins alone in, whatever the address.
            yield from patterns(entry)


def with_ids() -> set[str]:
    return {str(entry.name) for entry in patterns(get_resolver()) if "<" in str(entry.pattern)}


class Visitor:
    """Somebody with a session for the pages and a key for the API, or with neither."""

    def __init__(self, user: User | None = None) -> None:
        self._pages = sign_in(user) if user else Client()
        self._pages.raise_request_exception = False
        self._programs = Client(raise_request_exception=False)
        self._headers = {}
        if user:
            self._headers = {"Authorization": f"Bearer {keys.make_key(user, 'own')[1]}"}

    def ask(self, method: str, address: str, data: dict[str, Any]) -> Any:
        if not address.startswith(("/v1/", "/api/")):
            form = data if method in {"get", "post"} else "{}"
            return getattr(self._pages, method)(address, form)
        sent = data if method == "get" else {"data": data, "content_type": "application/json"}
        call = getattr(self._programs, method)
        if method == "get":
            return call(address, sent, headers=self._headers)
        return call(address, headers=self._headers, **sent)

    def everything(self, address: str, thing: Thing) -> list[tuple[str, int, bytes]]:
        """All methods with all that may be sent: status and body of each."""
        answers = [
            (method, self.ask(method, address, data)) for method in METHODS for data in thing.tries
        ]
        return [(method, answer.status_code, body(answer)) for method, answer in answers]


def body(answer: Any) -> bytes:
    return b"".join(answer) if answer.streaming else bytes(answer.content)


def rows() -> dict[str, list[Any]]:
    return {
        model.__name__: list(model._default_manager.order_by("pk").values())
        for model in apps.get_models()
        if model.__name__ not in TRACES
    }


def without_times(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """The last use of a key is not something that was done to it."""
    times = {"last_used_at", "last_login"}
    return {
        name: [{key: value for key, value in row.items() if key not in times} for row in values]
        for name, values in found.items()
    }


def address(name: str, ids: tuple[object, ...]) -> str:
    return reverse(name, args=list(ids))


def test_every_address_with_an_id_is_in_the_matrix() -> None:
    known = {*OWNED, *ADMIN, *NOBODYS}
    assert with_ids() - known == set(), "say in tests/site/things.py whose it is"
    assert known - with_ids() == set(), "these addresses are gone"
    assert len(known) == len(OWNED) + len(ADMIN) + len(NOBODYS)


@pytest.mark.parametrize("name", OWNED)
def test_it_works(name: str, charlie: User) -> None:
    """The owner finds it: otherwise the other tests would be true of anything."""
    thing = OWNED[name](charlie)
    found = Visitor(charlie).everything(address(name, thing.ids), thing)
    assert {status for _, status, _ in found} - {404, 405}, found


@pytest.mark.parametrize("name", OWNED)
def test_r9_to_others_it_is_not_there(name: str, alice: User, bob: User, charlie: User) -> None:
    """Just as what was never there: no status, and nothing in the answer, tells the two apart."""
    stranger, thing = Visitor(bob), OWNED[name](charlie)
    before = without_times(rows())
    found = stranger.everything(address(name, thing.ids), thing)
    for method, status, _ in found:
        assert status in {404, 405}, (method, status)
    assert 404 in {status for _, status, _ in found}
    assert without_times(rows()) == before
    nobodys = stranger.everything(address(name, unknown(thing)), thing)
    assert [status for _, status, _ in nobodys] == [status for _, status, _ in found]
    for (_, _, one), (_, _, other) in zip(found, nobodys, strict=True):
        assert anonymous(one, thing.ids) == anonymous(other, unknown(thing))


@pytest.mark.parametrize("name", OWNED)
def test_r9_nobody_sees_it_without_a_login_or_a_key(name: str, alice: User, charlie: User) -> None:
    thing = OWNED[name](charlie)
    before = without_times(rows())
    for method, status, _ in Visitor().everything(address(name, thing.ids), thing):
        assert status in {302, 401, 403, 405}, (method, status)
    assert without_times(rows()) == before


@pytest.mark.parametrize("name", OWNED)
def test_r10_parents_and_children_belong_together(
    name: str, alice: User, bob: User, charlie: User
) -> None:
    """Of an address with several ids, every mixture of what is Bob's twice and Charlie's."""
    things = [OWNED[name](owner) for owner in (bob, bob, charlie)]
    visitor = Visitor(bob)
    mixed = set(itertools.product(*zip(*(thing.ids for thing in things), strict=True)))
    for ids in mixed - {things[0].ids, things[1].ids}:
        for method, status, _ in visitor.everything(address(name, ids), things[0]):
            assert status in {404, 405}, (method, ids, status)


@pytest.mark.parametrize("name", ADMIN)
def test_r12_what_is_the_admins_is_refused(name: str, alice: User, bob: User) -> None:
    thing = ADMIN[name](alice)
    visitor = Visitor(bob)
    before = without_times(rows())
    for ids in (thing.ids, unknown(thing)):
        for method, status, _ in visitor.everything(address(name, ids), thing):
            assert status in {403, 405}, (method, ids, status)
    assert without_times(rows()) == before


def unknown(thing: Thing) -> tuple[object, ...]:
    """Ids of the same form that stand for nothing."""
    return tuple(999_999 if isinstance(id, int) else other(str(id)) for id in thing.ids)


def other(id: str) -> str:
    """Another last digit, which all forms of ids allow."""
    return id[:-1] + ("0" if id[-1] != "0" else "1")


def anonymous(text: bytes, ids: tuple[object, ...]) -> bytes:
    """Small numbers are everywhere; no page tells them."""
    for id in ids:
        text = text if isinstance(id, int) else text.replace(str(id).encode(), b"ID")
    return text
