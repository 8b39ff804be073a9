"""Of a provider's model its own defaults count: what nobody asked for is sent in no dialect."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from chatsite.accounts.models import User
from chatsite.api.chat import ChatBody
from chatsite.catalogue import providers
from chatsite.catalogue.models import Model
from chatsite.catalogue.providers import Offer, Place
from chatsite.chat import actions
from chatsite.chat.actions import Draft
from chatsite.gateway.nouns import Message, ModelSpec, Request, Sampling
from chatsite.ollama.bodies import ChatBody as OllamaBody
from chatsite.ollama.views.calling import wanted
from inference.remote.body import compose

ALWAYS = {"model", "messages", "stream", "stream_options"}
SAID = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def model(alice: User) -> Model:
    made = providers.add_provider("Far", Place("https://api.example.com/v1", key="sk-1"))
    providers.choose_models(made.pk, [Offer("theirs", "far")])
    return Model.objects.select_related("provider").get()


def sent(sampling: Sampling) -> dict[str, Any]:
    """What goes along beside the messages."""
    spec = ModelSpec("far", "remote", {})
    request = Request("a", "alice", spec, (Message("user", "Hi"),), sampling)
    body = compose(request, "theirs")[1]
    return {name: value for name, value in body.items() if name not in ALWAYS}


def said(owner: User, **panel: Any) -> Sampling:
    """How the chat asks for an answer."""
    exchange = actions.say(owner, None, Draft("Hi", uuid4(), "far", panel))
    generation = exchange.answer.generation
    assert generation
    return Request.from_dict(generation.request).sampling


def test_it_works(alice: User, model: Model) -> None:
    # No seed either: an answer from elsewhere is never resumed.
    assert sent(said(alice)) == {}
    assert sent(said(alice, temperature=0.8, top_k=40)) == {"temperature": 0.8, "top_k": 40}
    assert sent(said(alice, seed=3)) == {"seed": 3}


def test_v1(model: Model) -> None:
    fields: dict[str, Any] = {"model": "far", "messages": SAID}
    assert sent(ChatBody.model_validate(fields).sampling()) == {}
    fields |= {"temperature": 0.8, "max_tokens": 5}
    expected = {"temperature": 0.8, "max_tokens": 5}
    assert sent(ChatBody.model_validate(fields).sampling()) == expected


def test_ollama(model: Model) -> None:
    fields: dict[str, Any] = {"model": "far", "messages": SAID}
    assert sent(wanted(OllamaBody.model_validate(fields), model)[0]) == {}
    fields["options"] = {"temperature": 0.8, "num_predict": 5}
    expected = {"temperature": 0.8, "max_tokens": 5}
    assert sent(wanted(OllamaBody.model_validate(fields), model)[0]) == expected


def test_what_runs_here_has_ours(alice: User) -> None:
    near = Model.objects.create(name="far", source={})
    assert said(alice).top_k == Sampling().top_k
    fields: dict[str, Any] = {"model": "far", "messages": SAID}
    assert wanted(OllamaBody.model_validate(fields), near)[0].top_k == 40
