"""What an admin says of a model counts wherever it is used: who may, under which names, and how."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chatsite.accounts import keys
from chatsite.accounts.models import User
from chatsite.api.access import Caller
from chatsite.api.errors import ApiError
from chatsite.api.responses.body import ResponseBody
from chatsite.api.views.responses import start
from chatsite.catalogue import actions, aliases
from chatsite.catalogue.actions import Facts
from chatsite.catalogue.errors import (
    AliasTakenError,
    BadDefaultError,
    BadNameError,
    KeptError,
    ModelNameTakenError,
    Refused,
)
from chatsite.catalogue.models import Alias, Model
from chatsite.chat import actions as chat
from chatsite.chat.actions import Draft
from chatsite.chat.models import Conversation, Message
from chatsite.chat.refusals import Refusal
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import Request, Sampling
from chatsite.ollama.bodies import ChatBody
from chatsite.ollama.views.calling import wanted
from chatsite.terminal.session import find as find_in_terminal
from tests.site.ollama.conftest import send

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def model(db: None, broker: redis.Redis) -> Model:
    return Model.objects.create(name="local", engine="echo", source={}, settings={"delay_ms": 1})


def change(model: Model, **facts: Any) -> Model:
    return actions.change(model.pk, Facts(**{"name": model.name, **facts}))


def asked(generation: Generation | None) -> Sampling:
    assert generation
    return Request.from_dict(generation.request).sampling


def said(owner: User, name: str, **panel: Any) -> Generation:
    answer = chat.say(owner, None, Draft("Hi", uuid4(), name, panel)).answer
    assert answer.generation
    return answer.generation


def call(user: User, **body: Any) -> Generation:
    """What a call of the API starts; nobody waits for its answer."""
    fields = {"model": "local", "input": "Hi", "store": False, **body}
    return start(Caller(user), ResponseBody.model_validate(fields))[0]


def test_it_works(bob: User, model: Model) -> None:
    group = Group.objects.create(name="Writers")
    changed = change(
        model,
        name="writer",
        title="The writer",
        description="Writes.",
        system_prompt="Be kind.",
        keep_loaded=True,
        defaults={"temperature": 0.2, "top_k": 5, "stop": ["END"], "min_p": None},
        context_length=4096,
        groups=[group],
        aliases=["gpt-4o", " o3 "],
    )
    assert str(changed) == "The writer"
    assert changed.settings == {"delay_ms": 1, "context_length": 4096}
    assert changed.defaults == {"temperature": 0.2, "top_k": 5, "stop": ["END"]}
    assert list(changed.groups.all()) == [group]
    assert aliases.names_of(changed) == {"writer", "gpt-4o", "o3", "local"}
    again = change(changed, aliases=["o3"])
    assert aliases.names_of(again) == {"writer", "o3"}
    assert again.settings == {"delay_ms": 1}
    assert not again.groups.exists()


def test_r12_a_group_of_which_bob_is_none_keeps_its_model(
    alice: User, bob: User, charlie: User, model: Model
) -> None:
    """Nowhere is it told, and nowhere can it be used."""
    group = Group.objects.create(name="Writers")
    charlie.groups.add(group)
    change(model, groups=[group, Group.objects.create(name="Others")], aliases=["gpt-4o"])
    assert [m.name for m in actions.usable_models(charlie)] == ["local"]
    assert actions.usable_models(bob) == []
    for name in ("local", "gpt-4o"):
        with pytest.raises(Refusal):
            said(bob, name)
        with pytest.raises(ApiError):
            call(bob, model=name)
        assert send(keys.make_key(bob)[1], "show", {"model": name}).status_code == 404
        assert call(charlie, model=name).model == "local"
    change(model)
    assert [m.name for m in actions.usable_models(bob)] == ["local"]


def test_the_list_costs_the_same_for_many(bob: User, model: Model) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert actions.answering_models(bob)
        return len(seen)

    group = Group.objects.create(name="Writers")
    Model.objects.create(name="hidden", engine="echo", source={}).groups.add(group)
    few = queries()
    for number in range(20):
        more = Model.objects.create(name=f"more-{number}", engine="echo", source={})
        more.groups.add(group)
        Alias.objects.create(name=f"other-{number}", model=more)
    bob.groups.add(group)
    assert len(actions.answering_models(bob)) == 22
    assert queries() == few


def test_an_alias_is_known_everywhere(bob: User, model: Model) -> None:
    change(model, aliases=["gpt-4o"])
    generation = said(bob, "gpt-4o")
    assert generation.model == "local"
    assert Conversation.objects.get().model == "local"
    assert call(bob, model="gpt-4o").model == "local"
    key = keys.make_key(bob)[1]
    assert send(key, "show", {"model": "gpt-4o:latest"}).status_code == 200
    headers = {"Authorization": f"Bearer {key}"}
    assert Client().get("/v1/models/gpt-4o", headers=headers).json()["id"] == "local"
    listed = Client().get("/v1/models", headers=headers).json()["data"]
    assert [each["id"] for each in listed] == ["local"]
    assert find_in_terminal(bob, "gpt-4o").name == "local"


def test_r13_a_key_for_some_models_stays_with_them(bob: User, model: Model) -> None:
    other = Model.objects.create(name="other", engine="echo", source={})
    key = keys.make_key(bob, allowed=["local"])[1]
    change(model, name="renamed")
    change(other, aliases=["gpt-4o"])
    headers = {"Authorization": f"Bearer {key}"}
    assert Client().get("/v1/models/renamed", headers=headers).status_code == 200
    assert Client().get("/v1/models/local", headers=headers).json()["id"] == "renamed"
    assert Client().get("/v1/models/gpt-4o", headers=headers).status_code == 404
    assert Client().get("/v1/models/other", headers=headers).status_code == 404


def test_a_conversation_goes_on_when_its_model_gets_another_name(
    bob: User, bob_client: Client, model: Model
) -> None:
    generation = said(bob, "local")
    change(model, name="renamed", title="Renamed")
    page = bob_client.get(f"/chat/{chat_of(generation)}/")
    assert page.context["model"] == "renamed"
    assert [choice["available"] for choice in page.context["models"]] == [True]


def chat_of(generation: Generation) -> str:
    return str(Message.objects.get(generation=generation).conversation_id)


def test_defaults_count_where_nothing_is_said(bob: User, model: Model) -> None:
    change(model, defaults={"temperature": 0.2, "max_tokens": 7, "stop": ["END"]})
    generation = said(bob, "local")
    assert (asked(generation).temperature, asked(generation).stop) == (0.2, ("END",))
    assert asked(said(bob, "local", temperature=1.5)).temperature == 1.5
    made = asked(call(bob))
    assert (made.temperature, made.max_tokens, made.top_p) == (0.2, 7, 1.0)
    made = asked(call(bob, max_output_tokens=20))
    assert (made.temperature, made.max_tokens) == (0.2, 20)
    made = asked(call(bob, temperature=0))
    assert (made.temperature, made.max_tokens) == (0.0, 7)


def test_the_panel_shows_what_counts(bob: User, bob_client: Client, model: Model) -> None:
    change(model, defaults={"temperature": 0.25, "max_tokens": 77})
    page = bob_client.get("/chat/")
    shown = page.context["panel_defaults"]
    assert (shown["temperature"], shown["max_tokens"], shown["top_k"]) == (0.25, 77, 40)
    assert 'placeholder="0.25"' in page.text


def test_ollamas_options_go_before_defaults(model: Model) -> None:
    changed = change(model, defaults={"repetition_penalty": 1.3, "max_tokens": 7})
    fields: dict[str, Any] = {"model": "local", "messages": [{"role": "user", "content": "Hi"}]}
    made = wanted(ChatBody.model_validate(fields), changed)[0]
    assert (made.repetition_penalty, made.max_tokens) == (1.3, 7)
    fields["options"] = {"repeat_penalty": 1.1, "num_predict": 9}
    made = wanted(ChatBody.model_validate(fields), changed)[0]
    assert (made.repetition_penalty, made.max_tokens) == (1.1, 9)


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"name": "other"}, ModelNameTakenError),
        ({"name": "theirs"}, ModelNameTakenError),
        ({"name": "two words"}, BadNameError),
        ({"name": ""}, BadNameError),
        ({"aliases": ["other"]}, AliasTakenError),
        ({"aliases": ["theirs"]}, AliasTakenError),
        ({"aliases": ["a b"]}, BadNameError),
        ({"aliases": ["x" * 201]}, BadNameError),
        ({"defaults": {"temperature": 3}}, BadDefaultError),
        ({"defaults": {"temperature": float("nan")}}, BadDefaultError),
        ({"defaults": {"temperature": True}}, BadDefaultError),
        ({"defaults": {"top_k": 1.5}}, BadDefaultError),
        ({"defaults": {"stop": ["x" * 201]}}, BadDefaultError),
        ({"defaults": {"seed": 3}}, BadDefaultError),
        ({"context_length": 1}, BadDefaultError),
    ],
)
def test_what_cannot_be_changes_nothing(
    model: Model, facts: dict[str, Any], error: type[Refused]
) -> None:
    other = Model.objects.create(name="other", engine="echo", source={})
    Alias.objects.create(name="theirs", model=other)
    with pytest.raises(error):
        change(model, title="New", **facts)
    model.refresh_from_db()
    assert (model.name, model.title, model.defaults) == ("local", "", {})
    assert Alias.objects.count() == 1


def test_open_pages_hear_of_it(model: Model, broker: redis.Redis) -> None:
    broker.flushall()
    change(model, title="New")
    actions.enable(model.pk, on=False)
    actions.remove(model)
    found: Any = broker.xrange("notices")
    told = [json.loads(fields[b"n"]) for _, fields in found]
    assert told == [{"user": None, "topic": "models"}] * 3


def test_one_that_is_kept_is_not_unloaded(bob: User, model: Model, broker: redis.Redis) -> None:
    actions.unload_now(model)
    assert broker.get("unload:local")
    with pytest.raises(KeptError):
        actions.unload_now(change(model, keep_loaded=True))


def test_to_load_it_costs_no_answer(bob: User, model: Model, broker: redis.Redis) -> None:
    actions.load_now(bob, model)
    assert broker.zcard("waiting:local\x1ftasks") == 1
    assert not Generation.objects.exists()
