"""Search over titles and messages: two Chinese characters are a word, other words may be begun."""

from __future__ import annotations

from uuid import UUID

import pytest
from django.test import Client

from chatsite.accounts.models import User
from chatsite.chat import actions, search
from chatsite.chat.words import words
from tests.site.chat.talk import post, talk


def find(client: Client, query: str) -> list[UUID]:
    response = client.get("/chat/sidebar/", {"q": query})
    assert response.status_code == 200
    return [result.conversation for result in response.context["results"]]


def test_it_works(alice: User, alice_client: Client) -> None:
    whales = talk(alice, "How do whales sleep?").conversation
    talk(alice, "What is a prime number?")
    response = alice_client.get("/chat/sidebar/", {"q": "whales"})
    (result,) = response.context["results"]
    assert result.conversation == whales.pk
    assert result.url == f"/chat/{whales.pk}/"
    assert result.title == "New chat"
    assert [(p.text, p.hit) for p in result.snippet] == [
        ("Answer to: How do ", False),
        ("whales", True),
        (" sleep?", False),
    ]
    assert response.context["query"] == "whales"
    assert response.context["groups"] == []


@pytest.mark.parametrize(
    "query", ["机器", "学习", "器学", "机器学习", "习", "机", "GPU 内存", "内存gpu"]
)
def test_it_finds_chinese_words(alice: User, alice_client: Client, query: str) -> None:
    found = talk(alice, "我想了解机器学习，以及GPU内存的问题。").conversation
    talk(alice, "今天天气很好，机票便宜，器物很多，学校放假。")
    assert found.pk in find(alice_client, query)
    if len(query) > 1:
        assert find(alice_client, query) == [found.pk]


def test_a_run_of_characters_has_to_stand_together(alice: User, alice_client: Client) -> None:
    apart = "机器人和器学，还有学习"
    talk(alice, apart)
    assert {"机器", "器学", "学习"} <= set(words(apart))
    assert find(alice_client, "机器学习") == []


@pytest.mark.parametrize("query", ["CAFÉ", "cafe", "caf", "Ｃａｆｅ", "menu cafe", "Café Men"])
def test_it_folds_case_accents_and_width(alice: User, alice_client: Client, query: str) -> None:
    found = talk(alice, "The Cafe\u0301 has a menu").conversation
    assert find(alice_client, query) == [found.pk]


def test_only_the_last_word_may_be_begun(alice: User, alice_client: Client) -> None:
    found = talk(alice, "llama_cpp scheduling").conversation
    assert find(alice_client, "cpp sched") == [found.pk]
    assert find(alice_client, "sched cpp") == []
    assert find(alice_client, "sched ") == [found.pk]
    assert find(alice_client, "heduling") == []


@pytest.mark.parametrize(
    "query", ['"', "' OR 1", "a*", "NEAR(a b)", "a AND", "-", "\\", "%", "\x00", "😀", "a:b", "|&!"]
)
def test_signs_mean_nothing(alice: User, alice_client: Client, query: str) -> None:
    talk(alice, "plain")
    assert find(alice_client, query) in ([], [talk(alice, "x").conversation.pk])


def test_it_finds_titles_first(alice: User, alice_client: Client) -> None:
    titled = talk(alice, "One").conversation
    post(alice_client, f"{titled.pk}/rename", title="海洋 Whale songs")
    said = talk(alice, "About whale oil").conversation
    assert find(alice_client, "whale") == [titled.pk, said.pk]
    assert find(alice_client, "海洋") == [titled.pk]
    response = alice_client.get("/chat/sidebar/", {"q": "songs"})
    assert response.context["results"][0].snippet == []


def test_it_finds_other_branches_and_answers(alice: User, alice_client: Client) -> None:
    said = talk(alice, "Zebra")
    post(alice_client, f"{said.conversation.pk}/edit", message=said.question.pk, text="Giraffe")
    assert find(alice_client, "zebra") == [said.conversation.pk]
    assert find(alice_client, "giraffe") == [said.conversation.pk]


def test_a_conversation_comes_once_and_the_newest_first(alice: User, alice_client: Client) -> None:
    old = talk(alice, "whale", "whale", "whale").conversation
    new = talk(alice, "whale").conversation
    assert find(alice_client, "whale") == [new.pk, old.pk]


def test_deleted_conversations_are_not_found(alice: User, alice_client: Client) -> None:
    conversation = talk(alice, "whale").conversation
    actions.rename(alice, conversation.pk, "whale")
    actions.delete(alice, conversation.pk)
    assert find(alice_client, "whale") == []
    actions.restore(alice, conversation.pk)
    assert find(alice_client, "whale") == [conversation.pk]


def test_bob_finds_nothing_of_alices(alice: User, bob: User, bob_client: Client) -> None:
    conversation = talk(alice, "whale").conversation
    actions.rename(alice, conversation.pk, "whale")
    assert find(bob_client, "whale") == []
    assert find(bob_client, f"{search.OWNER}{alice.pk} whale") == []
    own = talk(bob, "whale").conversation
    assert find(bob_client, "whale") == [own.pk]


def test_a_snippet_shows_the_neighbourhood(alice: User) -> None:
    talk(alice, "before " * 100 + "needle <b>\nafter " + "after " * 100)
    (result,) = search.find(alice, "needle")
    pieces = result.snippet
    assert (pieces[0].text, pieces[-1].text) == ("…", "…")
    assert [p.text for p in pieces if p.hit] == ["needle"]
    assert "needle <b> after" in "".join(p.text for p in pieces)
    assert len("".join(p.text for p in pieces)) < 200


def test_a_very_long_text_can_be_indexed(alice: User) -> None:
    text = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(200_000))
    talk(alice, text, "x" * 200_000)
    assert len(search.find(alice, text[:2])) == 1
    assert len(search.find(alice, "x" * 300)) == 1
