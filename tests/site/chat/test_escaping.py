"""R19: whatever people, models and admins write, the pages show it and run none of it."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils.html import escape

from chatsite.accounts.models import User
from chatsite.catalogue.models import Model
from chatsite.chat import actions
from tests.site.chat.talk import draft, end

PAYLOADS = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "</pre></textarea><svg/onload=alert(1)>",
    "<!--<iframe srcdoc='<b>'>",
]


@pytest.mark.parametrize("payload", PAYLOADS)
def test_r19_it_works(alice: User, alice_client: Client, model: Model, payload: str) -> None:
    model.title = model.description = payload
    model.save()
    said = actions.say(alice, None, draft(f"needle {payload}", system=payload))
    end(said.answer.generation, f"answer {payload}")
    pk = said.conversation.pk
    actions.rename(alice, pk, payload)
    pages = {
        path: alice_client.get(path).content.decode()
        for path in (f"/chat/{pk}/", f"/chat/{pk}/thread/", "/chat/sidebar/?q=needle", "/chat/")
    }
    for path, page in pages.items():
        assert payload not in page, path
        assert escape(payload) in page, path


def test_r19_an_odd_search_is_escaped(alice_client: Client) -> None:
    for payload in PAYLOADS:
        page = alice_client.get("/chat/sidebar/", {"q": payload}).content.decode()
        assert payload not in page


def test_r19_the_pages_allow_no_inline_script(alice_client: Client) -> None:
    policy = alice_client.get("/chat/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
