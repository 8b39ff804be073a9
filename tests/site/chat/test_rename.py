"""A title written by hand."""

from __future__ import annotations

from django.test import Client

from chatsite.accounts.models import User
from tests.site.chat.talk import post, talk


def test_it_works(alice: User, alice_client: Client) -> None:
    conversation = talk(alice, "One").conversation
    response = post(alice_client, f"{conversation.pk}/rename", title="  My \n plans ")
    assert response.status_code == 200
    assert response.context["groups"][0].conversations[0].title == "My plans"
    conversation.refresh_from_db()
    assert (conversation.title, conversation.title_by_hand) == ("My plans", True)


def test_the_search_that_is_shown_stays(alice: User, alice_client: Client) -> None:
    conversation = talk(alice, "Whales").conversation
    response = post(alice_client, f"{conversation.pk}/rename", title="Fish", q="whales")
    assert [r.title for r in response.context["results"]] == ["Fish"]


def test_it_refuses_blank_overlong_and_unreadable_titles(alice: User, alice_client: Client) -> None:
    conversation = talk(alice, "One").conversation
    for title, status in ((" ", 400), ("a" * 201, 413), ("a\x00", 400)):
        response = post(alice_client, f"{conversation.pk}/rename", title=title)
        assert response.status_code == status
        assert response.json()["error"]["message"]
