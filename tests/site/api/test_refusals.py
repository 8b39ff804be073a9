"""What a client sends wrong gets OpenAI's envelope, the parameter's name and never a 500 (R21, R22,
R24)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatsite.api import body
from chatsite.gateway.models import Generation
from tests.site.api.conftest import Ask, post_raw

HELLO = {"role": "user", "content": "Hello"}


def error(answer: Any, status: int = 400) -> dict[str, Any]:
    assert answer.status_code == status, answer.content
    told: dict[str, Any] = answer.json()["error"]
    assert set(told) == {"message", "type", "param", "code"}
    assert not Generation.objects.exists()
    return told


def test_it_works(ask: Ask) -> None:
    told = error(ask(temperature=3))
    assert told["type"] == "invalid_request_error"
    assert told["param"] == "temperature"
    assert "less than or equal to 2" in told["message"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [HELLO, {"role": "user", "content": 7}]}, "messages.1.content"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "call_1"}]},
         "messages.0.tool_call_id"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
         "messages.0.content.0"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": [""]}, "stop.0"),
        ({"logit_bias": {"word": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"logit_bias": {str(n): 1 for n in range(1025)}}, "logit_bias"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"seed": "x"}, "seed"),
        ({"presence_penalty": 2.1}, "presence_penalty"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"modalities": ["text", "audio"], "audio": {"voice": "x", "format": "wav"}}, "modalities"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools.0.function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"chat_template_kwargs": {"chat_template": "x"}}, "chat_template_kwargs"),
        ({"chat_template": "{{ 1 }}"}, "chat_template"),
        ({"prompt_embeds": "x"}, "prompt_embeds"),
        ({"n_discard": -1}, "n_discard"),
        ({"model": 5}, "model"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_r21_the_parameter_is_named(ask: Ask, fields: dict[str, Any], param: str | None) -> None:
    assert error(ask(**fields))["param"] == param


def test_an_unknown_model_is_a_404(ask: Ask) -> None:
    told = error(ask(model="gpt-9"), 404)
    assert (told["code"], told["param"]) == ("model_not_found", "model")


@pytest.mark.parametrize("field", ["messages", "model"])
def test_what_is_missing_is_named(key: str, field: str) -> None:
    whole = {"model": "echo", "messages": [HELLO]}
    del whole[field]
    told = error(post_raw(json.dumps(whole), key))
    assert (told["code"], told["param"]) == ("missing_required_parameter", field)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b"7", b"\xff\xfe", b'{"a":NaN}', b"[" * 100_000,
        b'{"model":"\\ud800"}', b'{"model":1e999}', b'{"a":' + b"9" * 5000 + b"}",
        b'{"model":"echo","messages":[{"role":"user","content":"a\\u0000"}]}',
    ],
    ids=lambda data: repr(data[:20]),
)  # fmt: skip
def test_r24_what_is_no_json_is_a_400(key: str, data: bytes) -> None:
    assert error(post_raw(data, key))["code"] == "invalid_json"


def test_r22_a_huge_body_is_refused(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_BYTES", 1 << 20)
    assert error(post_raw(b" " * ((1 << 20) + 1), key), 413)["code"] == "request_too_large"


def test_r22_a_schema_has_bounds(ask: Ask) -> None:
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"not": deep}
    assert error(ask(guided_json=deep))["param"] == "guided_json"
    assert error(ask(guided_json={"enum": ["x" * 70_000]}))["param"] == "guided_json"
    assert error(ask(guided_json="no JSON"))["param"] == "guided_json"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
FIELDS = [
    *("messages", "model", "stream", "stream_options", "max_tokens", "n", "stop", "seed"),
    *("tools", "tool_choice", "logit_bias", "logprobs", "response_format", "modalities"),
    *("audio", "metadata", "guided_json", "chat_template_kwargs"),
]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1))
def test_r24_no_body_is_a_500(key: str, fields: dict[str, Any]) -> None:
    # No model of this name: what is well formed ends there, and no engine is needed.
    whole = {"messages": [HELLO], **fields, "model": "none"}
    answer = post_raw(json.dumps(whole), key)
    assert answer.status_code in {400, 404}, answer.content


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_r24_a_body_is_utf8(key: str, encoding: str) -> None:
    """In another encoding a null character would pass, which PostgreSQL refuses."""
    data = '{"model": "none", "messages": [{"role": "user", "content": "a\\u0000"}]}'
    told = error(post_raw(data.encode(encoding), key))
    assert told["code"] == "invalid_json"
