"""The front page of the chat, and the model picker."""

from __future__ import annotations

from django.test import Client

from chatsite.accounts.models import User
from chatsite.catalogue.models import Model
from tests.site.chat.talk import send, talk


def test_it_works(alice_client: Client) -> None:
    assert alice_client.get("/")["Location"] == "/chat/"
    page = alice_client.get("/chat/")
    assert page.status_code == 200
    assert page.context["conversation"] is None
    assert page.context["turns"] == []
    assert page.context["model"] == "echo"
    assert [m["name"] for m in page.context["models"]] == ["echo"]
    assert page.context["panel"]["temperature"] == ""
    assert page["Cache-Control"].startswith("max-age=0")


def test_a_new_conversation_begins_with_the_model_used_last(
    alice: User, alice_client: Client
) -> None:
    Model.objects.create(name="another", source={})
    talk(alice, "One")
    assert alice_client.get("/chat/").context["model"] == "echo"
    Model.objects.filter(name="echo").update(enabled=False)
    assert alice_client.get("/chat/").context["model"] == "another"


def test_it_asks_for_a_login(client: Client, alice: User) -> None:
    response = client.get("/chat/")
    assert response.status_code == 302
    assert "/login" in response["Location"]


def test_a_model_that_gives_vectors_is_not_offered(alice: User, alice_client: Client) -> None:
    Model.objects.create(name="a-vectors", engine="llamacpp-embed", source={})
    page = alice_client.get("/chat/")
    assert [m["name"] for m in page.context["models"]] == ["echo"]
    refused = send(alice_client, model="a-vectors")
    assert refused.json()["error"]["kind"] == "model_missing"
