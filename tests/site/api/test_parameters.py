"""What every parameter of a chat request becomes on its way to the engine; what cannot be done is
refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatsite.api.chat import ChatBody
from chatsite.gateway.nouns import Shape
from tests.site.api.conftest import Ask, post_raw

HELLO = {"role": "user", "content": "Hello"}
NOW = {"name": "now", "description": "The time", "parameters": {"type": "object"}}
LATER = {"name": "later"}
TOOLS = [{"type": "function", "function": NOW}, {"type": "function", "function": LATER}]
# All parameters at once, as samples show them that many have copied; the tool has no name.
SAMPLE: dict[str, Any] = {
    "messages": [HELLO],
    "stream": False,
    "max_tokens": 100,
    "stop": None,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "temperature": 1.0,
    "top_p": 1.0,
    "modalities": ["text"],
    "audio": {"voice": "alloy", "format": "mp3"},
    "store": False,
    "metadata": {},
    "logit_bias": {"15496": -100, "51561": -100},
    "logprobs": False,
    "n": 1,
    "response_format": {"type": "text"},
    "seed": 42,
    "tools": [{"type": "function", "function": {"name": "", "description": "", "parameters": {}}}],
    "parallel_tool_calls": False,
    "user": "user-id",
}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
WAV = {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}
PDF = {"type": "file", "file": {"file_id": "file-1"}}


def body(**fields: Any) -> ChatBody:
    return ChatBody.model_validate({"model": "echo", "messages": [HELLO], **fields})


def said(*turns: dict[str, Any]) -> list[tuple[str, str]]:
    found = body(messages=list(turns)).asked()["messages"]
    return [(message.role, message.content) for message in found]


def refused(answer: Any, status: int = 400) -> str | None:
    assert answer.status_code == status, answer.content
    param: str | None = answer.json()["error"]["param"]
    return param


def test_it_works() -> None:
    asked = body(**SAMPLE)
    sampling = asked.sampling()
    assert sampling.logit_bias == {15496: -100, 51561: -100}
    assert (sampling.max_tokens, sampling.seed, sampling.temperature) == (100, 42, 1.0)
    given = asked.asked()
    assert given["tools"] == ()
    assert given["tool_choice"] == "auto"
    assert given["shape"] == Shape()


@pytest.mark.parametrize("choice", ["auto", "none", "required", {"type": "function"}])
def test_what_old_samples_say_of_choosing_no_tool_means_nothing(choice: Any) -> None:
    assert body(**SAMPLE, tool_choice=choice).asked()["tool_choice"] == "auto"


def test_null_means_absent() -> None:
    fields = dict.fromkeys(ChatBody.model_fields.keys() - {"messages", "model"})
    assert body(**fields) == body()


def test_every_role_and_every_kind_of_text() -> None:
    assert said(
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "name": "bob", "content": "Why?"},
        {"role": "assistant", "refusal": "Because."},
        {"role": "assistant", "content": None, "reasoning_content": "Hm."},
    ) == [
        ("system", "Be brief."),
        ("user", "ab"),
        ("assistant", "No."),
        ("user", "Why?"),
        ("assistant", "Because."),
        ("assistant", ""),
    ]


def test_a_tool_s_answer_knows_its_call() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    turns = [
        HELLO,
        {"role": "assistant", "tool_calls": [{**call, "index": 0}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
    ]
    found = body(messages=turns).asked()["messages"]
    assert [each.name for each in found[1].tool_calls] == ["now"]
    assert (found[2].role, found[2].tool_call_id, found[2].name) == ("tool", "call_1", "now")


def test_functions_are_the_old_word_for_tools() -> None:
    turns = [
        HELLO,
        {"role": "assistant", "function_call": {"name": "now", "arguments": "{}"}},
        {"role": "function", "name": "now", "content": "12:00"},
    ]
    asked = body(messages=turns, functions=[NOW, LATER], function_call={"name": "now"})
    given = asked.asked()
    assert [tool["function"]["name"] for tool in given["tools"]] == ["now", "later"]
    assert (given["tool_choice"], given["parallel_tool_calls"]) == ("now", False)
    call = given["messages"][1].tool_calls[0]
    answer = given["messages"][2]
    assert (answer.role, answer.tool_call_id, answer.name) == ("tool", call.id, "now")
    assert asked.old_calls


def test_some_of_the_tools_may_be_allowed() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "later"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    given = body(tools=TOOLS, tool_choice=choice).asked()
    assert [tool["function"]["name"] for tool in given["tools"]] == ["later"]
    assert given["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("fields", "shape"),
    [
        ({"response_format": {"type": "json_object"}}, Shape("json")),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"enum": [1]}}}},
            Shape("schema", '{"enum": [1]}'),
        ),
        ({"guided_json": '{"enum": [1]}'}, Shape("schema", '{"enum": [1]}')),
        ({"guided_choice": ["yes", "no"]}, Shape("choice", '["yes", "no"]')),
        ({"guided_regex": "[ab]+"}, Shape("regex", "[ab]+")),
        ({"guided_grammar": 'root ::= "a"'}, Shape("grammar", 'root ::= "a"')),
        ({"structured_outputs": {"choice": ["a"]}}, Shape("choice", '["a"]')),
        ({"structured_outputs": {"json": {"enum": [1]}}}, Shape("schema", '{"enum": [1]}')),
        ({"structured_outputs": {"json_object": True}}, Shape("json")),
        ({"response_format": {"type": "text"}, "guided_choice": ["a"]}, Shape("choice", '["a"]')),
    ],
    ids=str,
)
def test_the_form_of_an_answer(fields: dict[str, Any], shape: Shape) -> None:
    assert body(**fields).asked()["shape"] == shape


def test_limits_are_the_newer_name_s_first_and_never_too_large() -> None:
    assert body(max_tokens=5, max_completion_tokens=7).sampling().max_tokens == 7
    assert body(max_tokens=10**40).sampling().max_tokens == 1 << 24
    assert body().sampling().max_tokens is None


def test_token_ids_that_no_vocabulary_has_have_no_effect() -> None:
    assert body(logit_bias={"-1": 5, "99999999999": 5, "7": 5}).sampling().logit_bias == {7: 5}


def test_effort_is_told_to_the_template() -> None:
    assert body(reasoning_effort="none").template_kwargs() == {
        "reasoning_effort": "none",
        "enable_thinking": False,
    }
    told = body(reasoning_effort="low", chat_template_kwargs={"enable_thinking": False})
    assert told.template_kwargs()["enable_thinking"] is False


@pytest.mark.parametrize(
    "fields",
    [
        SAMPLE,
        {"stream": True, "stream_options": {"include_usage": True, "include_obfuscation": False}},
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "now"}}},
        {"service_tier": "flex", "verbosity": "low", "safety_identifier": "x"},
        {"prediction": {"type": "content", "content": "x"}, "prompt_cache_key": "x"},
        {"top_k": -1, "min_p": 0.1, "repetition_penalty": 1.1, "min_tokens": 2, "ignore_eos": True},
        {"stop_token_ids": [2], "skip_special_tokens": True, "use_beam_search": False},
        {"logprobs": True, "top_logprobs": 20, "n": 16, "seed": -1, "stop": "x"},
        {"temperature": 0, "top_p": 1, "presence_penalty": -2, "frequency_penalty": 2},
        {"chat_template_kwargs": {"enable_thinking": False}, "reasoning_effort": "minimal"},
        {"metadata": {"topic": "x"}, "user": "x"},
    ],
    ids=lambda fields: ",".join(fields)[:40],
)  # fmt: skip
def test_what_is_well_formed_comes_as_far_as_the_model(ask: Ask, fields: dict[str, Any]) -> None:
    assert refused(ask(**{**fields, "model": "none"}), 404) == "model"


def test_of_a_repeated_key_the_last_counts(key: str) -> None:
    hello = json.dumps([HELLO])
    data = f'{{"model": "echo", "messages": {hello}, "n": 99, "n": 1, "model": "none"}}'
    assert refused(post_raw(data, key), 404) == "model"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [{"role": "user", "content": [PNG]}]}, "messages.0.content.0"),
        ({"messages": [HELLO, {"role": "user", "content": [WAV]}]}, "messages.1.content.0"),
        ({"messages": [{"role": "user", "content": [PDF]}]}, "messages.0.content.0"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]},
         "messages.0.content.0.text"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0.content"),
        ({"messages": [{"role": "assistant"}]}, "messages.0.content"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages.0.audio"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
        ({"messages": [{"role": "function", "name": "now", "content": "x"}]}, "messages.0.name"),
        ({"messages": [{"role": "function", "content": "x"}]}, "messages.0.name"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"modalities": ["smell"]}, "modalities.0"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"max_tokens": -(10**40)}, "max_tokens"),
        ({"seed": 10**40}, "seed"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"logprobs": 5}, "logprobs"),
        ({"n": True}, "n"),
        ({"stream": True, "stream_options": {"include_all": True}}, "stream_options.include_all"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"moderation": {"model": "x"}}, "moderation"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"reasoning_effort": "heroic"}, "reasoning_effort"),
        ({"skip_special_tokens": False}, "skip_special_tokens"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools.0.type"),
        ({"tools": [{"type": "function", "function": {"name": "auto"}}]}, "tools.0.function.name"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}},
         "tool_choice"),
        ({"tools": TOOLS, "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": TOOLS, "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tools": TOOLS, "functions": [NOW]}, "functions"),
        ({"functions": [NOW], "function_call": "required"}, "function_call"),
        ({"guided_json": {}, "guided_regex": "x"}, "guided_regex"),
        ({"guided_choice": []}, "guided_choice"),
        ({"guided_choice": ["a"], "response_format": {"type": "json_object"}}, "guided_choice"),
        ({"structured_outputs": {"json": {}, "regex": "x"}}, "structured_outputs"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_name(
    ask: Ask, fields: dict[str, Any], param: str
) -> None:
    assert refused(ask(**fields)) == param
