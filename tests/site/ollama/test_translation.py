"""What a request in Ollama's words becomes for an engine: messages, tool calls, how tokens are
drawn."""

from __future__ import annotations

from typing import Any

import pytest

from chatsite.catalogue.models import Model
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import Sampling
from chatsite.ollama import loose
from chatsite.ollama.bodies import ChatBody, TextBody
from chatsite.ollama.loose import Options
from chatsite.ollama.turns import Turn, messages

HELLO = {"role": "user", "content": "Hello"}
CALL = {"function": {"name": "weather", "arguments": {"city": "Paris"}}}
TIME = {"function": {"name": "time", "arguments": {}}}


def chat(**fields: Any) -> dict[str, Any]:
    asked = ChatBody.model_validate({"model": "echo", "messages": [HELLO], **fields})
    return asked.asked(Model(name="echo", system_prompt="Be kind."))


def text(**fields: Any) -> dict[str, Any]:
    asked = TextBody.model_validate({"model": "echo", "prompt": "Hello", **fields})
    return asked.asked(Model(name="echo", system_prompt="Be kind."))


def read(*turns: dict[str, Any]) -> list[Any]:
    return messages([Turn.model_validate(turn) for turn in turns])


def drawn(**options: Any) -> Sampling:
    return Options.model_validate(options).sampling(3)


def test_it_works() -> None:
    asked = chat(format={"type": "object"}, think="low", tools=[{"function": {"name": "f"}}])
    assert [turn.role for turn in asked["messages"]] == ["system", "user"]
    assert asked["messages"][0].published
    assert asked["shape"].kind == "schema"
    assert asked["tools"][0]["function"]["name"] == "f"
    assert asked["template_kwargs"]["reasoning_effort"] == "low"
    assert asked["drop_oldest"]


def test_the_models_system_prompt_gives_way_to_the_callers() -> None:
    own = chat(messages=[{"role": "system", "content": "Be rude."}, HELLO])
    assert [turn.content for turn in own["messages"]] == ["Be rude.", "Hello"]
    assert [turn.content for turn in text(system="Be rude.")["messages"]] == ["Be rude.", "Hello"]
    assert [turn.content for turn in text()["messages"]] == ["Be kind.", "Hello"]
    assert text(raw=True, format="json")["prompt"] == "Hello"


def test_a_conversation_that_is_too_long_may_be_refused() -> None:
    assert not chat(truncate=False)["drop_oldest"]


def test_a_tools_answer_finds_its_call() -> None:
    by_name = read({"role": "assistant", "tool_calls": [CALL, TIME]},
                   {"role": "tool", "tool_name": "time", "content": "noon"},
                   {"role": "tool", "tool_name": "weather", "content": "sun"})  # fmt: skip
    calls = by_name[0].tool_calls
    assert [call.name for call in calls] == ["weather", "time"]
    assert [turn.tool_call_id for turn in by_name[1:]] == [calls[1].id, calls[0].id]
    in_order = read({"role": "assistant", "tool_calls": [CALL, TIME]},
                    {"role": "tool", "content": "sun"},
                    {"role": "tool", "content": "noon"})  # fmt: skip
    assert [turn.name for turn in in_order[1:]] == ["weather", "time"]
    twice = read({"role": "assistant", "tool_calls": [CALL]},
                 {"role": "tool", "tool_name": "weather", "content": "sun"},
                 {"role": "assistant", "tool_calls": [CALL]},
                 {"role": "tool", "tool_name": "weather", "content": "rain"})  # fmt: skip
    assert twice[0].tool_calls[0].id != twice[2].tool_calls[0].id
    assert twice[3].tool_call_id == twice[2].tool_calls[0].id


def test_a_tools_answer_may_stand_alone() -> None:
    (named,) = read({"role": "tool", "tool_name": "weather", "content": "sun"})
    assert named.name == "weather"
    (bare,) = read({"role": "tool", "content": "sun"})
    assert (bare.name, bare.content) == ("", "sun")


@pytest.mark.parametrize(
    ("given", "kept"), [(-1, None), (-2, None), (0, None), (5, 5), (1 << 60, 1 << 24)]
)
def test_the_limit_of_an_answer(given: int, kept: int | None) -> None:
    assert drawn(num_predict=given).max_tokens == kept


def test_seeds() -> None:
    assert drawn(seed=-1).seed == drawn().seed == 0
    assert drawn(seed=0).seed > 0
    assert drawn(seed=7).seed == 7


def test_the_other_parameters_arrive() -> None:
    given: dict[str, Any] = {"temperature": 0.5, "top_k": -1, "top_p": 0.4, "min_p": 0.1}
    given |= {"typical_p": 0.9, "repeat_penalty": 1.2, "stop": ["a", "", "b"]}
    given |= {"presence_penalty": 0.3, "frequency_penalty": 0.2}
    arrived = drawn(**given)
    assert (arrived.temperature, arrived.top_k, arrived.top_p) == (0.5, 0, 0.4)
    assert (arrived.min_p, arrived.typical_p, arrived.repetition_penalty) == (0.1, 0.9, 1.2)
    assert (arrived.presence_penalty, arrived.frequency_penalty) == (0.3, 0.2)
    assert (arrived.stop, arrived.logprobs) == (("a", "b"), 3)


@pytest.mark.parametrize("keep", [0, 0.0, "0", "0s", "0.0m", "-0", "00h"])
def test_no_time_lets_a_model_go(keep: Any) -> None:
    assert loose.lets_go(keep)


@pytest.mark.parametrize("keep", [None, -1, "-1", "5m", "10", "", 300, "0x"])
def test_any_time_keeps_it(keep: Any) -> None:
    assert not loose.lets_go(keep)


def test_a_refused_request_leaves_no_row(db: None) -> None:
    with pytest.raises(ValueError, match="format"):
        chat(format=7)
    assert not Generation.objects.exists()
