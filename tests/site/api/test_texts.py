"""Plain completions refuse by name what they cannot do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.site.api.conftest import post_raw


def refused(key: str, **fields: Any) -> str | None:
    data = json.dumps({"model": "none", "prompt": "Once", **fields})
    answer = post_raw(data, key, "/v1/completions")
    assert answer.status_code in {400, 404}, answer.content
    param: str | None = answer.json()["error"]["param"]
    return param


def test_it_works(key: str) -> None:
    """What is well formed comes as far as the model."""
    for prompt in ("Once", ["Once", "Twice"]):
        assert refused(key, prompt=prompt, n=2, best_of=2, echo=True, logprobs=None) == "model"


@pytest.mark.parametrize("prompt", [[1, 2], [[1, 2]], [], 7, ["x"] * 17])
def test_a_prompt_is_text(key: str, prompt: Any) -> None:
    assert refused(key, prompt=prompt) == "prompt"


def test_choices_are_few(key: str) -> None:
    assert refused(key, prompt=["x"] * 9, n=2) == "n"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"suffix": "end"}, "suffix"),
        ({"best_of": 3}, "best_of"),
        ({"echo": True, "logprobs": 1}, "echo"),
        ({"logprobs": 21}, "logprobs"),
        ({"messages": []}, "messages"),
    ],
)
def test_what_cannot_be_done_is_named(
    key: str, fields: dict[str, Any], param: str, model: Any
) -> None:
    assert refused(key, model="echo", **fields) == param
