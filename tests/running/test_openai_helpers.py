"""The official client's helpers, which make objects of what is said: `.stream()`, `.parse()`, tools
there and back."""

from __future__ import annotations

import json
from typing import Any, Literal

import openai
import pytest
from openai import OpenAI, pydantic_function_tool
from pydantic import BaseModel

from tests.running.asking import HELLO, WORDS, said
from tests.running.talking import STARTER

pytestmark = pytest.mark.live


class Person(BaseModel):
    name: Literal["Alice", "Bob"]
    happy: bool


class Weather(BaseModel):
    """How the weather is in a city."""

    city: Literal["Paris", "Rome"]


TOOL: Any = pydantic_function_tool(Weather, name="get_weather")
FORCED: Any = {"type": "function", "function": {"name": "get_weather"}}
# How the same was asked for before there were tools.
FUNCTION: dict[str, Any] = {
    "functions": [TOOL["function"] | {"strict": None}],
    "function_call": {"name": "get_weather"},
}
ASK: dict[str, Any] = {
    "model": STARTER,
    "messages": said("How is the weather in Rome?"),
    "temperature": 0,
}


def test_it_works(client: OpenAI) -> None:
    """The events of `.stream()`: pieces, then the whole."""
    deltas, whole = [], []
    with client.chat.completions.stream(
        model=STARTER,
        messages=HELLO,
        seed=7,
        stream_options={"include_usage": True},
        extra_body=WORDS,
    ) as stream:
        for event in stream:
            if event.type == "content.delta":
                deltas.append(event.delta)
            elif event.type == "content.done":
                whole.append(event.content)
        answer = stream.get_final_completion()
    assert len(deltas) > 2
    assert whole == ["".join(deltas)] == [answer.choices[0].message.content]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage
    assert answer.usage.completion_tokens > 2


def test_an_answer_is_an_object(client: OpenAI) -> None:
    asked: dict[str, Any] = {"model": STARTER, "messages": said("Who is happy?"), "temperature": 0}
    answer = client.chat.completions.parse(**asked, response_format=Person)
    person = answer.choices[0].message.parsed
    assert isinstance(person, Person)
    with client.chat.completions.stream(**asked, response_format=Person) as stream:
        done = [event.parsed for event in stream if event.type == "content.done"]
    assert done == [person]


def test_an_object_that_is_cut_off_is_told(client: OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(
            model=STARTER, messages=HELLO, response_format=Person, max_tokens=3
        )


def test_a_tool_is_called_and_its_answer_read(client: OpenAI) -> None:
    """There and back: the call, what the tool said, what the model makes of it."""
    first = client.chat.completions.parse(**ASK, tools=[TOOL], tool_choice=FORCED).choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.tool_calls
    call = first.message.tool_calls[0]
    assert isinstance(call.function.parsed_arguments, Weather)
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "22 degrees, sunny"}
    talk: list[Any] = [*ASK["messages"], first.message, result]
    # Also as the helper gives the message back, with what it made of the arguments.
    for said_before in (first.message, first.message.model_dump()):
        talk[1] = said_before
        last = client.chat.completions.create(
            model=STARTER, messages=talk, tools=[TOOL], tool_choice="none", max_tokens=20, seed=1
        ).choices[0]
        assert last.message.content
        assert not last.message.tool_calls


def test_a_call_comes_in_pieces(client: OpenAI) -> None:
    whole = client.chat.completions.create(**ASK, tools=[TOOL], tool_choice=FORCED).choices[0]
    assert whole.message.tool_calls
    with client.chat.completions.stream(**ASK, tools=[TOOL], tool_choice=FORCED) as stream:
        events = list(stream)
        final = stream.get_final_completion().choices[0]
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [event.name for event in done] == ["get_weather"]
    assert isinstance(done[0].parsed_arguments, Weather)
    assert final.finish_reason == "tool_calls"
    assert final.message.tool_calls
    one, other = whole.message.tool_calls[0], final.message.tool_calls[0]
    assert one.type == "function"
    assert (one.function.name, one.function.arguments) == (
        other.function.name,
        other.function.arguments,
    )
    assert other.id.startswith("call_")


def test_one_of_several_tools_must_be_called(client: OpenAI) -> None:
    other: Any = {"type": "function", "function": {"name": "ring_bell"}}
    answer = client.chat.completions.create(
        **ASK, tools=[TOOL, other], tool_choice="required", parallel_tool_calls=False
    ).choices[0]
    assert answer.message.tool_calls
    assert len(answer.message.tool_calls) == 1
    call = answer.message.tool_calls[0]
    assert call.type == "function"
    assert call.function.name in {"get_weather", "ring_bell"}
    assert isinstance(json.loads(call.function.arguments), dict)


def test_functions_were_the_word_before(client: OpenAI) -> None:
    whole = client.chat.completions.create(**ASK, **FUNCTION).choices[0]
    assert whole.finish_reason == "function_call"
    assert whole.message.function_call
    assert json.loads(whole.message.function_call.arguments)["city"] in {"Paris", "Rome"}
    pieces = [
        chunk.choices[0] for chunk in client.chat.completions.create(**ASK, **FUNCTION, stream=True)
    ]
    calls = [piece.delta.function_call for piece in pieces if piece.delta.function_call]
    assert calls[0].name == "get_weather"
    assert "".join(call.arguments or "" for call in calls) == whole.message.function_call.arguments
    assert pieces[-1].finish_reason == "function_call"


def test_a_model_without_tools_says_so(client: OpenAI) -> None:
    """The starter model's template would leave them out without a word."""
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(**ASK, tools=[TOOL])
    assert refused.value.param == "tools"
    assert refused.value.code == "tools_refused"
    assert (
        client.chat.completions.create(**ASK, tools=[TOOL], tool_choice="none", max_tokens=4)
        .choices[0]
        .message.content
    )
