"""What a client sends wrong is told in Ollama's shape, what is unknown is overlooked, and neither
is a 500 (R2, R22, R24)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chatsite.api import body
from chatsite.gateway.models import Generation
from tests.site.ollama.conftest import HELLO, Ask, send


def error(answer: Any, status: int = 400) -> str:
    assert answer.status_code == status, answer.content
    assert answer.headers["Content-Type"].startswith("application/json")
    told = answer.json()
    assert set(told) == {"error"}
    assert isinstance(told["error"], str)
    assert not Generation.objects.exists()
    return str(told["error"])


def test_it_works(ask: Ask) -> None:
    assert error(ask(model="llama3.2"), 404) == "model 'llama3.2' not found"
    assert "options.temperature" in error(ask(options={"temperature": "hot"}))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"model": None}, "model"),
        ({"model": 5}, "model"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role"),
        ({"messages": [HELLO, {"role": "user", "content": ["x"]}]}, "messages.1.content"),
        ({"messages": [{"role": "user", "content": "x", "images": ["aGk="]}]}, "images"),
        ({"stream": "yes"}, "stream"),
        ({"options": {"num_predict": 1.5}}, "num_predict"),
        ({"options": {"num_predict": -3}}, "num_predict"),
        ({"options": {"top_p": 2}}, "top_p"),
        ({"options": {"stop": ["x"] * 17}}, "stop"),
        ({"options": {"stop": 7}}, "stop"),
        ({"options": {"seed": "x"}}, "seed"),
        ({"options": []}, "options"),
        ({"format": "xml"}, "format"),
        ({"format": ["json"]}, "format"),
        ({"think": "deeply"}, "think"),
        ({"think": []}, "think"),
        ({"keep_alive": []}, "keep_alive"),
        ({"keep_alive": True}, "keep_alive"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f",
          "arguments": "{}"}}]}]}, "arguments"),
    ],
    ids=lambda value: str(value)[:40],
)  # fmt: skip
def test_wrong_types_are_named(ask: Ask, fields: dict[str, Any], word: str) -> None:
    assert word in error(ask(**fields))


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"suffix": "end"}, "insert"),
        ({"template": "{{ .Prompt }}"}, "template"),
        ({"context": [1, 2]}, "context"),
        ({"images": ["aGk="]}, "images"),
        ({"raw": True, "system": "Be brief."}, "raw"),
    ],
    ids=str,
)
def test_r2_what_cannot_be_done_is_said(key: str, fields: dict[str, Any], word: str) -> None:
    assert word in error(send(key, "generate", {"model": "echo", "prompt": "x", **fields}))


def test_what_is_unknown_is_overlooked(key: str) -> None:
    """It comes as far as the model."""
    for options in ({"num_ctx": 4096, "numa": True, "mirostat": "?"}, None, {}):
        whole = {"model": "none", "messages": [HELLO], "options": options, "shift": 1, "n": "x"}
        assert "not found" in error(send(key, "chat", whole), 404)
    numbers = {"num_predict": 12.0, "seed": 3.0, "top_k": 5.0, "temperature": 1, "stop": ""}
    whole = {"model": "none", "messages": [HELLO], "options": numbers, "think": None}
    assert "not found" in error(send(key, "chat", whole), 404)


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":NaN}', b"[" * 100_000, b'{"model":"\\ud800"}'],
    ids=lambda data: repr(data[:20]),
)
@pytest.mark.parametrize("what", ["chat", "generate", "embed", "embeddings", "show"])
def test_r24_what_is_no_json_is_a_400(key: str, what: str, data: bytes) -> None:
    assert error(send(key, what, data))


def test_r22_sizes_are_bounded(ask: Ask, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    deep: dict[str, Any] = {}
    for _ in range(40):
        deep = {"not": deep}
    assert "format" in error(ask(format=deep))
    assert "messages" in error(ask(messages=[HELLO] * 4097))
    assert "input" in error(send(key, "embed", {"model": "echo", "input": ["x"] * 2049}))
    monkeypatch.setattr(body, "BODY_BYTES", 1 << 20)
    assert "1 MB" in error(send(key, "chat", b" " * ((1 << 20) + 1)), 413)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
FIELDS = [
    *("messages", "stream", "options", "format", "think", "keep_alive", "tools", "truncate"),
    *("prompt", "suffix", "system", "template", "context", "images", "raw", "logprobs", "input"),
    *("top_logprobs", "dimensions"),
]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    what=st.sampled_from(["chat", "generate", "embed", "embeddings", "show", "delete", "pull"]),
    fields=st.dictionaries(st.sampled_from(FIELDS), JSON, min_size=1),
)
def test_r24_no_body_is_a_500(key: str, what: str, fields: dict[str, Any]) -> None:
    # No model of this name: what is well formed ends there, and no engine is needed.
    whole = {"messages": [HELLO], **fields, "model": "none"}
    answer = send(key, what, json.dumps(whole), "DELETE" if what == "delete" else "POST")
    assert answer.status_code in {400, 403, 404}, answer.content
