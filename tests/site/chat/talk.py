"""How the chat's tests talk: post as a browser does, and end answers as the steward does."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.test import Client

from chatsite.accounts.models import User
from chatsite.chat import actions
from chatsite.chat.actions import Draft, Exchange
from chatsite.gateway.models import Generation

MODEL = "echo"


def draft(text: str = "Hello", **fields: Any) -> Draft:
    return Draft(text, fields.pop("nonce", None) or uuid4(), MODEL, fields)


def end(generation: Generation | None, text: str = "An answer.", status: str = "done") -> None:
    """What the steward does at the last entry of a log."""
    assert generation is not None
    with transaction.atomic():
        generation = Generation.objects.select_for_update().get(pk=generation.pk)
        generation.text = text
        generation.status = status
        generation.save()
        actions.close(generation)


def talk(owner: User, *texts: str, conversation: UUID | None = None) -> Exchange:
    """A conversation of several rounds, all answered; the last exchange."""
    assert texts
    for text in texts:
        said = actions.say(owner, conversation, draft(text))
        end(said.answer.generation, f"Answer to: {text}")
        conversation = said.conversation.pk
    said.conversation.refresh_from_db()
    return said


def post(client: Client, path: str, **fields: Any) -> Any:
    return client.post(f"/chat/{path}", {"nonce": str(uuid4()), **fields})


def send(client: Client, text: str = "Hello", **fields: Any) -> Any:
    return post(client, "send", text=text, **{"model": MODEL, **fields})
