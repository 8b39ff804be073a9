"""What is sent to a provider: what was asked for, and of what has a default nothing."""

from __future__ import annotations

from typing import Any

import pytest

from inference.contract import Message, ModelSpec, Request, Sampling, Shape, ToolCall
from inference.remote.body import compose, reword
from inference.remote.troubles import Trouble
from tests.inference.far import PLAIN


def body_of(sampling: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    drawn = Sampling.from_dict({**PLAIN, **(sampling or {})})
    fields.setdefault("messages", (Message("user", "Hi"),))
    _path, body = compose(
        Request("a", "bob", ModelSpec("m", "remote", {}), sampling=drawn, **fields), "theirs"
    )
    return body


def test_it_works() -> None:
    assert body_of() == {
        "model": "theirs",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("name", "value", "sent"),
    [
        ("temperature", 0.0, 0.0),
        ("top_p", 0.5, 0.5),
        ("presence_penalty", 1.5, 1.5),
        ("frequency_penalty", -1.0, -1.0),
        ("max_tokens", 5, 5),
        ("seed", 7, 7),
        ("stop", ["a", "b"], ["a", "b"]),
        ("logit_bias", {"12": -100}, {"12": -100.0}),
        ("top_k", 20, 20),
        ("min_p", 0.1, 0.1),
        ("repetition_penalty", 1.2, 1.2),
        ("min_tokens", 3, 3),
        ("stop_token_ids", [1, 2], [1, 2]),
        ("ignore_eos", True, True),
    ],
)
def test_what_was_set_is_sent_and_nothing_else(name: str, value: Any, sent: Any) -> None:
    assert {k: v for k, v in body_of({name: value}).items() if k not in body_of()} == {name: sent}


def test_likelihoods() -> None:
    assert body_of({"logprobs": 0})["logprobs"] is True
    assert "top_logprobs" not in body_of({"logprobs": 0})
    assert body_of({"logprobs": 3})["top_logprobs"] == 3
    assert body_of({"logprobs": 3}, messages=(), prompt="x")["logprobs"] == 3


@pytest.mark.parametrize(
    ("shape", "sent"),
    [
        (Shape("json"), {"response_format": {"type": "json_object"}}),
        (Shape("choice", '["yes", "no"]'), {"structured_outputs": {"choice": ["yes", "no"]}}),
        (Shape("regex", "a+"), {"structured_outputs": {"regex": "a+"}}),
        (Shape("grammar", "root ::= x"), {"structured_outputs": {"grammar": "root ::= x"}}),
    ],
)
def test_forms(shape: Shape, sent: dict[str, Any]) -> None:
    assert {k: v for k, v in body_of(shape=shape).items() if k not in body_of()} == sent


def test_thinking() -> None:
    told = body_of(template_kwargs={"reasoning_effort": "low", "enable_thinking": True})
    assert told["reasoning_effort"] == "low"
    # It only follows from the effort, and OpenAI knows no such thing.
    assert "chat_template_kwargs" not in told
    told = body_of(template_kwargs={"enable_thinking": False})
    assert told["chat_template_kwargs"] == {"enable_thinking": False}


def test_a_conversation_with_tools() -> None:
    call = ToolCall("call_0123456789", "add", '{"a": 1}')
    messages = (
        Message("system", "Be kind.", published=True),
        Message("user", "1+1", tokens=(1, 2)),
        Message("assistant", "", reasoning="Hm.", tool_calls=(call,)),
        Message("tool", "2", tool_call_id=call.id, name="add"),
    )
    sent = body_of(messages=messages)["messages"]
    assert sent == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "1+1"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"a": 1}'},
                }
            ],
            "reasoning_content": "Hm.",
        },
        {"role": "tool", "content": "2", "tool_call_id": call.id},
    ]
    short = reword({"messages": sent}, Trouble("remote_refused", "must be of length of 9"))
    assert short
    ids = [short["messages"][2]["tool_calls"][0]["id"], short["messages"][3]["tool_call_id"]]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 9
    plain = reword({"messages": sent}, Trouble("remote_refused", "reasoning_content is unknown"))
    assert plain
    assert not any("reasoning_content" in turn for turn in plain["messages"])


def test_a_refusal_that_names_nothing_known_stands() -> None:
    assert reword(body_of(), Trouble("remote_refused", "temperature is too high")) is None
    assert reword(body_of(), Trouble("remote_busy", "max_completion_tokens")) is None


def test_strict_schemas_give_way() -> None:
    body = body_of(shape=Shape("schema", '{"type": "object"}'))
    assert body["response_format"]["json_schema"]["strict"] is True
    said = "Invalid schema for response_format 'answer': 'additionalProperties' is required"
    looser = reword(body, Trouble("remote_refused", said))
    assert looser
    assert "strict" not in looser["response_format"]["json_schema"]
    assert reword(looser, Trouble("remote_refused", said)) is None


def test_a_broken_schema_is_told() -> None:
    with pytest.raises(Trouble) as trouble:
        body_of(shape=Shape("schema", "{"))
    assert trouble.value.kind == "bad_schema"
