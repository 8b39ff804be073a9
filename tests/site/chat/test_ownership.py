"""R9 and R10: every address of the chat with the ids of somebody else, and with mixed pairs."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from chatsite.accounts.models import User
from chatsite.chat import urls
from chatsite.chat.actions import Exchange
from chatsite.chat.models import Conversation, Message
from chatsite.gateway.models import Generation
from tests.site.chat.talk import talk


@dataclass(frozen=True)
class Address:
    """How an address is called so that it works for the owner."""

    name: str
    method: str = "post"
    # Where the id of a message goes, and of which role it has to be.
    message: str = ""
    role: str = "assistant"
    fields: tuple[tuple[str, str], ...] = ()

    def call(self, client: Client, conversation: Conversation, message: int | None) -> Any:
        data = {"nonce": str(uuid4()), **dict(self.fields)}
        if self.message and message is not None:
            data[self.message] = str(message)
        if self.name == "chat-send":
            return client.post(reverse(self.name), {**data, "conversation": str(conversation.pk)})
        return getattr(client, self.method)(reverse(self.name, args=[conversation.pk]), data)


ADDRESSES = [
    Address("conversation", "get"),
    Address("chat-thread", "get"),
    Address("chat-earlier", "get", message="before"),
    Address("chat-send", fields=(("text", "Mine now"), ("model", "echo"))),
    Address("chat-edit", message="message", role="user", fields=(("text", "Mine now"),)),
    Address("chat-regenerate", message="message"),
    Address("chat-branch", message="message"),
    Address("chat-settings", fields=(("system", "Mine now"),)),
    Address("chat-rename", fields=(("title", "Mine now"),)),
    Address("chat-delete"),
    Address("chat-restore"),
]
WITHOUT_ID = {"home", "chat", "chat-sidebar"}
NAMES = [address.name for address in ADDRESSES]


def pick(said: Exchange, address: Address) -> int:
    return said.question.pk if address.role == "user" else said.answer.pk


def rows() -> list[Any]:
    return [
        *Conversation.objects.order_by("pk").values_list("pk", "title", "settings", "leaf"),
        *Conversation.objects.order_by("pk").values_list("pk", "updated", "deleted"),
        *Message.objects.order_by("pk").values_list("pk", "content"),
        Generation.objects.count(),
    ]


def test_r10_every_address_is_in_the_matrix() -> None:
    assert {pattern.name for pattern in urls.urlpatterns} == {*NAMES, *WITHOUT_ID}


@pytest.mark.parametrize("address", ADDRESSES, ids=NAMES)
def test_it_works(alice: User, alice_client: Client, address: Address) -> None:
    said = talk(alice, "One", "Two")
    assert address.call(alice_client, said.conversation, pick(said, address)).status_code == 200


@pytest.mark.parametrize("address", ADDRESSES, ids=NAMES)
def test_r9_bob_reaches_nothing_of_alices(
    alice: User, bob_client: Client, address: Address
) -> None:
    said = talk(alice, "One", "Two")
    before = rows()
    response = address.call(bob_client, said.conversation, pick(said, address))
    assert response.status_code == 404
    assert b"Two" not in response.content
    assert rows() == before


@pytest.mark.parametrize("address", ADDRESSES, ids=NAMES)
def test_r9_nobody_reaches_anything_without_login(alice: User, address: Address) -> None:
    said = talk(alice, "One", "Two")
    before = rows()
    response = address.call(Client(), said.conversation, pick(said, address))
    assert response.status_code in (302, 401, 403)
    assert rows() == before


@pytest.mark.parametrize("address", [a for a in ADDRESSES if a.message], ids=lambda a: a.name)
def test_r10_a_message_must_belong_to_its_conversation(
    alice: User, bob: User, bob_client: Client, address: Address
) -> None:
    """All pairs of a conversation of Bob's or Alice's with a message of another conversation."""
    talks = {name: talk(owner, "One", "Two") for name, owner in
             (("alice", alice), ("mine", bob), ("other", bob))}  # fmt: skip
    before = rows()
    for parent, child in itertools.permutations(talks, 2):
        message = pick(talks[child], address)
        response = address.call(bob_client, talks[parent].conversation, message)
        assert response.status_code == 404, (parent, child)
    assert rows() == before


def test_r9_the_ids_of_conversations_and_answers_cannot_be_guessed(alice: User) -> None:
    said = talk(alice, "One")
    assert said.conversation.pk.version == 4
    assert said.answer.generation is not None
    assert said.answer.generation.pk.version == 4


def test_r9_the_list_and_its_cursor_show_only_ones_own(
    alice: User, bob: User, bob_client: Client
) -> None:
    foreign = talk(alice, "One").conversation
    own = talk(bob, "One").conversation
    for query in (
        {"current": str(foreign.pk)},
        {"before": f"9999-01-01T00:00:00+00:00~{foreign.pk}"},
    ):
        groups = bob_client.get("/chat/sidebar/", query).context["groups"]
        assert [entry.id for group in groups for entry in group.conversations] == [own.pk]
