"""R24: whatever is sent to the chat's addresses, none of them breaks."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatsite.accounts.models import User
from chatsite.chat.models import Message
from tests.site.chat.talk import talk

FIELDS = [
    "conversation", "message", "text", "nonce", "model", "title", "system", "temperature",
    "top_p", "top_k", "min_p", "max_tokens", "seed", "drop_oldest", "q", "current", "before",
]  # fmt: skip
POSTS = ["edit", "regenerate", "branch", "settings", "rename", "delete", "restore"]
GETS = ["page", "thread", "earlier"]
ODD = st.sampled_from(
    ["", "0", "-1", "1e999", "nan", "99999999999999999999", "\x00", "½", "٣", "[]", "{}", "null",
     "'; --", "../..", "%s", "\ud7ff\ue000", "😀" * 50, str(uuid4()), "a" * 5000]
)  # fmt: skip
VALUES = st.one_of(ODD, st.text(st.characters(codec="utf-8"), max_size=30))
FORMS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6)
BODIES = st.binary(max_size=200)
TYPES = st.sampled_from(
    ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
     "multipart/form-data; boundary=x", "application/x-www-form-urlencoded; charset=utf-16", ""]
)  # fmt: skip
many = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def paths(owner: User, names: list[str]) -> list[str]:
    pk = talk(owner, "One").conversation.pk
    known = {"page": "conversation"}
    return [reverse(known.get(name, f"chat-{name}"), args=[pk]) for name in names]


@many
@given(data=FORMS)
def test_r24_odd_fields_break_nothing(alice: User, alice_client: Client, data: Any) -> None:
    for path in [*paths(alice, POSTS), reverse("chat-send")]:
        assert alice_client.post(path, data).status_code < 500, path


@many
@given(data=FORMS)
def test_r24_odd_queries_break_nothing(alice: User, alice_client: Client, data: Any) -> None:
    for path in [*paths(alice, GETS), reverse("chat-sidebar"), reverse("chat")]:
        assert alice_client.get(path, data).status_code < 500, path


@many
@given(body=BODIES, kind=TYPES)
def test_r24_odd_bodies_break_nothing(
    alice: User, alice_client: Client, body: bytes, kind: str
) -> None:
    for path in [*paths(alice, POSTS), reverse("chat-send")]:
        response = alice_client.generic("POST", path, body, content_type=kind)
        assert response.status_code < 500, path


def test_r24_missing_fields_are_named(alice: User, alice_client: Client) -> None:
    said = talk(alice, "One")
    pk = said.conversation.pk
    for path, field in (
        ("send", "nonce"), (f"{pk}/edit", "message"), (f"{pk}/regenerate", "message"),
        (f"{pk}/branch", "message"),
    ):  # fmt: skip
        response = alice_client.post(f"/chat/{path}", {"text": "Two"})
        assert response.status_code == 400
        assert response.json()["error"]["field"] == field
    assert Message.objects.count() == 2


@pytest.mark.parametrize("path", ["", "sidebar/", "send"])
def test_r24_a_wrong_method_is_refused(alice_client: Client, path: str) -> None:
    method = alice_client.get if path == "send" else alice_client.put
    assert method(f"/chat/{path}").status_code == 405


def test_r24_a_huge_body_is_refused(alice_client: Client) -> None:
    body = b"text=" + b"a" * 3_000_000
    response = alice_client.generic(
        "POST", "/chat/send", body, content_type="application/x-www-form-urlencoded"
    )
    assert response.status_code in (400, 413)
