"""Another answer to the same message: beside the first one, which stays."""

from __future__ import annotations

from uuid import uuid4

from django.test import Client

from chatsite.accounts.models import User
from chatsite.chat.models import Message
from chatsite.gateway.models import Generation
from tests.site.chat.talk import end, post, talk


def test_it_works(alice: User, alice_client: Client) -> None:
    said = talk(alice, "One")
    response = post(
        alice_client, f"{said.conversation.pk}/regenerate", message=said.answer.pk, seed="7"
    )
    question, answer = response.context["turns"]
    assert question.message == said.question
    assert answer.siblings == [said.answer.pk, answer.message.pk]
    assert (answer.index, answer.count, answer.live) == (2, 2, True)
    request = Generation.objects.get(pk=answer.generation.pk).request
    assert request["drop_oldest"] is False
    assert request["sampling"]["seed"] == 7
    assert [m["content"] for m in request["messages"]] == ["One"]


def test_without_a_seed_each_answer_has_its_own(alice: User, alice_client: Client) -> None:
    said = talk(alice, "One")
    post(alice_client, f"{said.conversation.pk}/regenerate", message=said.answer.pk)
    seeds = [g.request["sampling"]["seed"] for g in Generation.objects.filter(kind="chat")]
    assert len(seeds) == 2
    assert all(seeds)
    assert seeds[0] != seeds[1]


def test_the_oldest_messages_can_be_left_out(alice: User, alice_client: Client) -> None:
    said = talk(alice, "One")
    response = post(
        alice_client,
        f"{said.conversation.pk}/regenerate",
        message=said.answer.pk,
        drop_oldest="1",
    )
    generation = Generation.objects.get(pk=response.context["turns"][-1].generation.pk)
    assert generation.request["drop_oldest"] is True


def test_the_same_nonce_answers_once(alice: User, alice_client: Client) -> None:
    said, nonce = talk(alice, "One"), str(uuid4())
    path = f"{said.conversation.pk}/regenerate"
    for _ in range(2):
        assert post(alice_client, path, message=said.answer.pk, nonce=nonce).status_code == 200
    assert Message.objects.count() == 3


def test_a_question_has_no_other_answer_of_itself(alice: User, alice_client: Client) -> None:
    said = talk(alice, "One")
    path = f"{said.conversation.pk}/regenerate"
    assert post(alice_client, path, message=said.question.pk).status_code == 404


def test_a_failed_answer_says_what_to_do(alice: User, alice_client: Client) -> None:
    said = talk(alice, "One")
    response = post(alice_client, f"{said.conversation.pk}/regenerate", message=said.answer.pk)
    generation = response.context["turns"][-1].message.generation
    generation.error = {
        "kind": "context_length_exceeded",
        "prompt_tokens": 9000,
        "context_length": 8192,
    }
    generation.save()
    end(generation, "", status="failed")
    page = alice_client.get(f"/chat/{said.conversation.pk}/")
    turn = page.context["turns"][-1]
    assert not turn.live
    assert "9000" in turn.error_text
    assert "8192" in turn.error_text
    assert page.context["turns"][0].error_text == ""
