"""Every failure of a provider has words in the chat and a status at /v1."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from chatsite.api import errors as api
from chatsite.catalogue import reasons
from chatsite.gateway import errors as chat

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [*(ROOT / "inference" / "remote").glob("*.py"), ROOT / "inference/engines/remote.py"]
KINDS = sorted(
    {kind for path in SOURCES for kind in re.findall(r'"(remote_\w+)"', path.read_text())}
)
GENERAL = chat.explain({"kind": "no such kind"})


def test_it_works() -> None:
    assert {"remote_interrupted", "remote_busy", "remote_cut", "remote_locked"} <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_words_of_its_own(kind: str) -> None:
    assert chat.explain({"kind": kind}) != GENERAL
    error = api.from_engine({"kind": kind})
    assert error.code != "engine_failed"
    # The caller's own key is fine, and none of this is the caller's to be blamed for but these.
    assert error.status in {400, 429, 500, 502, 504}
    assert (error.status == 400) == (kind in {"remote_refused", "remote_filtered"})


def test_a_busy_provider_is_a_busy_site() -> None:
    error = api.from_engine({"kind": "remote_busy", "retry_after": 7})
    assert (error.status, error.code) == (429, "rate_limit_exceeded")
    assert error.headers["Retry-After"] == "7"
    assert "7 seconds" in chat.explain({"kind": "remote_busy", "retry_after": 7})


@pytest.mark.parametrize("kind", ["remote_interrupted", "remote_cut", "remote_timeout"])
def test_clients_do_not_repeat_what_may_have_been_billed(kind: str) -> None:
    assert api.from_engine({"kind": kind}).headers == {"x-should-retry": "false"}


def test_the_providers_own_words_are_told() -> None:
    error = {"kind": "remote_refused", "detail": "No such parameter."}
    assert "No such parameter." in chat.explain(error)
    assert "No such parameter." in api.from_engine(error).message
    assert "No such parameter." in reasons.explain(error)


def test_a_prompt_that_is_too_long_elsewhere_is_so_here() -> None:
    error = {"kind": "context_length_exceeded", "prompt_tokens": 9, "context_length": 5}
    assert api.from_engine(error).code == "context_length_exceeded"
    assert "9 tokens" in chat.explain(error)
