"""What the ids in addresses stand for, and which address has which: a new address with an id gets
its line in one of the three lists, or the matrix of R10 fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import Group

from chatsite.accounts import actions as accounts
from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.api import stored as storing
from chatsite.api.models import Stored
from chatsite.catalogue.models import Delivery, Model, Provider
from chatsite.gateway import actions as gateway
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import End, Message, ModelSpec, Sampling
from inference.contract import Finish
from tests.site.chat.talk import talk


@dataclass(frozen=True, slots=True)
class Thing:
    """Something of a person's: what its addresses are made of, in the order of their ids, and what
    may be sent to them so that something happens."""

    ids: tuple[object, ...]
    tries: list[dict[str, Any]] = field(default_factory=lambda: [{}])


Maker = Callable[[User], Thing]


def conversation(owner: User) -> Thing:
    said = talk(owner, "One", "Two")
    sent = {"text": "Mine now", "model": "echo", "title": "Mine now"}
    sent["nonce"] = "8b0d7a3e-0f8e-4c39-9a51-5b1a3f1f2c11"
    places = [said.question.pk, said.answer.pk]
    tries = [{**sent, "message": str(pk), "before": str(pk)} for pk in places]
    return Thing((said.conversation.pk,), tries)


def key(owner: User) -> Thing:
    return Thing((keys.make_key(owner)[0].pk,))


def stored(owner: User, kind: Stored.Kind) -> Thing:
    """As it is kept of an answer of the echo model."""
    generation = gateway.start(
        owner=owner,
        kind=Generation.Kind.API,
        spec=ModelSpec("echo", "echo", {}),
        messages=[Message("user", "Hello")],
        sampling=Sampling(),
    )
    end = End(Finish(generation.pk.hex, "stop"), {"prompt_tokens": 1, "completion_tokens": 1})
    gateway.close(generation, end)
    asked = {"head": {}, "shown": {"with_logprobs": False}}
    kept = storing.keep(kind, [generation], model="echo", asked=asked, said=[], metadata={})
    return Thing((storing.MARKS[kind] + kept.pk.hex,))


def response(owner: User) -> Thing:
    return stored(owner, Stored.Kind.RESPONSE)


def completion(owner: User) -> Thing:
    return stored(owner, Stored.Kind.COMPLETION)


def person(owner: User) -> Thing:
    return Thing((owner.pk,))


def invitation(owner: User) -> Thing:
    return Thing((accounts.invite(owner, 7, 1)[0].pk,))


def provider(_: User) -> Thing:
    row, _new = Provider.objects.get_or_create(name="Elsewhere", defaults={"permit": ""})
    return Thing((row.pk,))


def model(_: User) -> Thing:
    row, _new = Model.objects.get_or_create(name="somebodys", engine="echo", source={})
    sent = {"name": "mine-now", "prompt": "Hello", "on": "0", "path": "/srv/x.tar"}
    return Thing((row.pk,), [{}, sent])


def own_model(_: User) -> Thing:
    row, _new = Model.objects.get_or_create(name="own", engine="somebodys", source={})
    return Thing((row.pk,), [{}, {"engine": "somebodys", "source": '{"path": "/mine"}'}])


def trial(owner: User) -> Thing:
    return Thing((*model(owner).ids, "8b0d7a3e-0f8e-4c39-9a51-5b1a3f1f2c11"))


def upload(_: User) -> Thing:
    return Thing(("8b0d7a3e0f8e4c399a515b1a3f1f2c11",))


def delivery(_: User) -> Thing:
    row, _new = Delivery.objects.get_or_create(
        kind="import",
        path="/srv/x.gguf",
        state="failed",
        subject="x",
    )
    return Thing((row.pk, "forget"))


def machine(_: User) -> Thing:
    return Thing(("drain",), [{"name": "box-1"}])


def group(owner: User) -> Thing:
    row, _new = Group.objects.get_or_create(name="Readers")
    sent = {"name": owner.username, "names": owner.username}
    return Thing((row.pk,), [{}, sent])


# Somebody's own: for everybody else it is not there.
OWNED: dict[str, Maker] = {
    "conversation": conversation,
    "chat-earlier": conversation,
    "chat-thread": conversation,
    "chat-edit": conversation,
    "chat-regenerate": conversation,
    "chat-branch": conversation,
    "chat-settings": conversation,
    "chat-rename": conversation,
    "chat-delete": conversation,
    "chat-restore": conversation,
    "keys-revoke": key,
    "usage-key": key,
    "v1-chat-completion": completion,
    "v1-chat-completion-messages": completion,
    "v1-response": response,
    "v1-response-cancel": response,
    "v1-response-input-items": response,
}
# The admins': everybody else is refused, whether it is there or not.
ADMIN: dict[str, Maker] = {
    "users-one": person,
    "users-reset": person,
    "users-enable": person,
    "users-disable": person,
    "users-promote": person,
    "users-demote": person,
    "users-delete": person,
    "users-key-revoke": key,
    "usage-person": person,
    "groups-one": group,
    "groups-rename": group,
    "groups-put": group,
    "groups-take": group,
    "groups-delete": group,
    "site-revoke": invitation,
    "models-delivery": delivery,
    "models-upload-piece": upload,
    "models-one": model,
    "models-state": model,
    "models-own-change": own_model,
    "models-enable": model,
    "models-load": model,
    "models-unload": model,
    "models-places": model,
    "models-copy": model,
    "models-try": model,
    "models-export": model,
    "models-delete": model,
    "models-trial": trial,
    "machines-act": machine,
    "providers-one": provider,
    "providers-models": provider,
    "providers-delete": provider,
}
# Nobody's, each with its reason.
NOBODYS = {
    "join": "whoever has the token may come in",
    "v1-model": "models are for all; what a key opens is tested with the keys",
    "v1-nothing": "no address at all",
    "ollama-nothing": "no address at all",
}
