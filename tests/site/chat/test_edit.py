"""Editing a message makes a branch beside it; the arrows walk between branches."""

from __future__ import annotations

from uuid import uuid4

from django.test import Client

from chatsite.accounts.models import User
from chatsite.chat.models import Conversation, Message
from tests.site.chat.talk import end, post, talk


def test_it_works(alice: User, alice_client: Client) -> None:
    said = talk(alice, "One", "Two")
    base, old = said.conversation, said.question
    response = post(alice_client, f"{base.pk}/edit", message=old.pk, text="Two, but better")
    assert response.status_code == 200
    turns = response.context["turns"]
    assert [t.message.content for t in turns] == ["One", "Answer to: One", "Two, but better", ""]
    assert (turns[2].index, turns[2].count) == (2, 2)
    assert turns[2].siblings == [old.pk, turns[2].message.pk]
    assert (turns[3].index, turns[3].count) == (1, 1)
    old.refresh_from_db()
    assert old.content == "Two"
    request = turns[3].message.generation.request
    assert [m["content"] for m in request["messages"]] == [
        "One",
        "Answer to: One",
        "Two, but better",
    ]


def test_the_first_message_can_be_edited(alice: User, alice_client: Client) -> None:
    said = talk(alice, "One")
    response = post(
        alice_client, f"{said.conversation.pk}/edit", message=said.question.pk, text="Uno"
    )
    assert [t.count for t in response.context["turns"]] == [2, 1]


def test_a_branch_is_shown_down_to_its_newest_end(alice: User, alice_client: Client) -> None:
    said = talk(alice, "One")
    root, pk = said.question.pk, said.conversation.pk
    talk(alice, "Two", "Three", conversation=pk)
    edited = post(alice_client, f"{pk}/edit", message=root, text="Uno")
    end(edited.context["turns"][-1].generation)
    response = post(alice_client, f"{pk}/branch", message=root)
    shown = [t.message.content for t in response.context["turns"] if t.message.role == "user"]
    assert shown == ["One", "Two", "Three"]
    page = alice_client.get(f"/chat/{pk}/")
    assert [t.message.pk for t in page.context["turns"]] == [
        t.message.pk for t in response.context["turns"]
    ]
    assert Conversation.objects.get(leaf__content="Answer to: Three").pk == pk


def test_the_same_nonce_edits_once(alice: User, alice_client: Client) -> None:
    said, nonce = talk(alice, "One"), str(uuid4())
    for _ in range(2):
        response = post(
            alice_client,
            f"{said.conversation.pk}/edit",
            message=said.question.pk,
            text="Uno",
            nonce=nonce,
        )
        assert response.status_code == 200
    assert Message.objects.count() == 4


def test_an_answer_cannot_be_edited(alice: User, alice_client: Client) -> None:
    said = talk(alice, "One")
    path = f"{said.conversation.pk}/edit"
    assert post(alice_client, path, message=said.answer.pk, text="Mine").status_code == 404
    assert Message.objects.count() == 2


def test_it_is_refused_while_an_answer_is_written(alice: User, alice_client: Client) -> None:
    said = talk(alice, "One")
    path = f"{said.conversation.pk}/edit"
    assert post(alice_client, path, message=said.question.pk, text="Uno").status_code == 200
    response = post(alice_client, path, message=said.question.pk, text="Eins")
    assert (response.status_code, response.json()["error"]["kind"]) == (409, "busy")
