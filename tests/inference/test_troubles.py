"""Providers' failures in the forms in which servers tell them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inference.remote.troubles import Trouble, of_answer, tidy, waiting


def trouble(status: int, body: Any, **headers: str) -> Trouble:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return of_answer(status, headers, raw, "sk-1")


def test_it_works() -> None:
    found = trouble(400, {"error": {"message": "Bad\n sk-1 \x00value.", "code": None}})
    assert found.error == {"kind": "remote_refused", "detail": "Bad … value."}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": {"message": "x", "code": "invalid_api_key"}}, "remote_key_refused"),
        (402, {}, "remote_quota"),
        (403, b"<html>", "remote_forbidden"),
        (404, {"detail": "Not Found"}, "remote_model_missing"),
        (413, b"", "remote_refused"),
        (422, {"detail": [{"msg": "Extra inputs are not permitted"}]}, "remote_refused"),
        (429, {"error": {"type": "insufficient_quota"}}, "remote_quota"),
        (429, {"error": "slow down"}, "remote_busy"),
        (400, [{"error": {"message": "x", "status": "INVALID"}}], "remote_refused"),
        (400, {"error": {"type": "exceed_context_size_error"}}, "context_length_exceeded"),
        (500, b"\xff\xfe", "remote_failed"),
        (503, b"[" * 100_000, "remote_failed"),
        (418, {}, "remote_failed"),
        (301, {"error": {"code": "invalid_api_key"}}, "remote_redirect"),
    ],
)
def test_kinds(status: int, body: Any, kind: str) -> None:
    assert trouble(status, body).kind == kind


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (
            "This model's maximum context length is 4097 tokens. However, your messages resulted "
            "in 5000 tokens. Please reduce the length of the messages.",
            (5000, 4097),
        ),
        (
            "This model's maximum context length is 6048 tokens. However, you requested 6616 "
            "tokens (568 in the messages, 6048 in the completion). Please reduce the length.",
            (568, 6048),
        ),
        (
            "This model's maximum context length is 2048 tokens. However, you requested 9 output "
            "tokens and your prompt contains 3000 input tokens",
            (3000, 2048),
        ),
        (
            "The decoder prompt (length 3000) is longer than the maximum model length of 2048.",
            (3000, 2048),
        ),
    ],
)
def test_a_prompt_that_is_too_long_has_its_figures(error: str, counts: tuple[int, int]) -> None:
    found = trouble(400, {"object": "error", "message": error, "code": 400})
    prompt, room = counts
    assert found.error == {
        "kind": "context_length_exceeded",
        "prompt_tokens": prompt,
        "context_length": room,
    }


def test_llama_cpp_tells_the_figures_apart() -> None:
    error = {"type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 5}
    found = trouble(400, {"error": error})
    assert (found.error["prompt_tokens"], found.error["context_length"]) == (9, 5)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("0.2", 1), ("", None), ("-1", None), ("nan", None), ("inf", None), ("Wed", None)],
)
def test_how_long_to_wait(text: str, seconds: int | None) -> None:
    assert waiting(text) == seconds


def test_words_are_short() -> None:
    assert len(tidy("x" * 10_000, "")) == 300
    assert tidy(None, "") == ""
    assert tidy({"a": 1}, "") == '{"a": 1}'
