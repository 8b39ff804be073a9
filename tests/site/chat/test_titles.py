"""Titles: the model writes one after the first answer, and what it writes is cleaned."""

from __future__ import annotations

import pytest
from django.test import Client

from chatsite.accounts.models import User
from chatsite.catalogue.models import Model
from chatsite.chat import actions, titles
from chatsite.chat.models import Conversation
from chatsite.gateway.models import Generation
from tests.site.chat.talk import draft, end, post, talk


def test_it_works(alice: User) -> None:
    conversation = talk(alice, "How do whales sleep?").conversation
    asked = conversation.title_generation
    assert asked is not None
    assert asked.kind == "title"
    assert "How do whales sleep?" in asked.request["messages"][-1]["content"]
    assert asked.request["sampling"]["max_tokens"] <= 64
    end(asked, '**Title: "How Whales Sleep"**\n\nI hope this helps!')
    conversation.refresh_from_db()
    assert conversation.title == "How Whales Sleep"
    assert not conversation.title_by_hand


def test_it_is_asked_for_once(alice: User) -> None:
    talk(alice, "One", "Two")
    assert Generation.objects.filter(kind="title").count() == 1


def test_a_title_by_hand_is_never_replaced(alice: User, alice_client: Client) -> None:
    conversation = talk(alice, "One").conversation
    post(alice_client, f"{conversation.pk}/rename", title="Mine")
    end(conversation.title_generation, "Theirs")
    conversation.refresh_from_db()
    assert conversation.title == "Mine"


def test_a_named_conversation_asks_for_none(alice: User) -> None:
    said = actions.say(alice, None, draft())
    actions.rename(alice, said.conversation.pk, "Mine")
    end(said.answer.generation)
    assert not Generation.objects.filter(kind="title").exists()


def test_a_failed_answer_asks_for_none_but_the_next_one_does(alice: User) -> None:
    said = actions.say(alice, None, draft())
    end(said.answer.generation, "", status="failed")
    assert not Generation.objects.filter(kind="title").exists()
    talk(alice, "Again", conversation=said.conversation.pk)
    assert Generation.objects.filter(kind="title").count() == 1


def test_without_the_model_the_first_words_are_the_title(alice: User) -> None:
    said = actions.say(alice, None, draft("Tell me about\nthe sea"))
    Model.objects.update(enabled=False)
    end(said.answer.generation)
    assert Conversation.objects.get().title == "Tell me about the sea"


def test_an_essay_that_was_cut_off_is_no_title(alice: User) -> None:
    conversation = talk(alice, "Tell me about the sea").conversation
    Generation.objects.filter(kind="title").update(finish_reason="length")
    end(conversation.title_generation, "The sea is a vast and deep")
    conversation.refresh_from_db()
    assert conversation.title == "Tell me about the sea"


@pytest.mark.parametrize(
    "written",
    ["", "What a delightful question!", "  \n", "***", "I'm sorry, I cannot do that.", "…"],
)
def test_garbage_gives_the_first_words(alice: User, written: str) -> None:
    conversation = talk(alice, "Tell me about the sea").conversation
    end(conversation.title_generation, written)
    conversation.refresh_from_db()
    assert conversation.title == "Tell me about the sea"


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Sea life", "Sea life"),
        ("# Sea life.", "Sea life"),
        ("Title: Sea life", "Sea life"),
        ("The title is: “Sea life”", "Sea life"),
        ("标题：《海洋生物》", "海洋生物"),
        ("1. Sea   life", "Sea life"),
        ("`Sea life`\nand more", "Sea life"),
        ("C++ pointers", "C++ pointers"),
        ("Why is the sea blue?", "Why is the sea blue?"),
    ],
)
def test_it_is_cleaned(written: str, title: str) -> None:
    assert titles.clean(written) == title


def test_it_is_at_most_sixty_characters_long() -> None:
    for text in ("wonderful " * 9, "海" * 90):
        title = titles.clean(text)
        assert 50 <= len(title) <= 60
        assert title.endswith("…")
    assert not titles.clean("word " * 30), "an essay is no title"


@pytest.mark.parametrize(
    ("title", "text", "fits"),
    [
        ("Rainbows for children", "How does a rainbow form?", True),
        ("彩虹的形成", "请解释彩虹", True),
        ("Lemmy Lull", "What is LaTeX?", False),
        ("The of and", "The cat and the hat", False),
        ("", "Anything", False),
    ],
)
def test_a_title_about_something_else_is_none(title: str, text: str, *, fits: bool) -> None:
    assert titles.is_about(title, text) is fits
