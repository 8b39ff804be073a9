"""The messages of `/api/chat`: Ollama's roles and tool calls into the engine room's turns."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field

from chatsite.gateway.nouns import Message, ToolCall
from chatsite.ollama.loose import Images, Loose


class Function(Loose):
    name: str = Field(max_length=256)
    arguments: dict[str, Any] = {}


class Call(Loose):
    # Older clients have none: a tool's answer belongs to its call by name or by order.
    id: str = Field("", max_length=256)
    function: Function


class Turn(Loose):
    """One message of any role."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    thinking: str = ""
    images: Images = []
    tool_calls: list[Call] = Field([], max_length=128)
    tool_name: str = Field("", max_length=256)
    tool_call_id: str = Field("", max_length=256)


Turns = Annotated[list[Turn], Field(max_length=4096)]


def messages(turns: list[Turn]) -> list[Message]:
    """The turns as an engine gets them."""
    # Calls that no tool has answered yet.
    open_calls: list[ToolCall] = []
    made, out = 0, []
    for turn in turns:
        calls = [called(call, made + n) for n, call in enumerate(turn.tool_calls)]
        made += len(calls)
        open_calls += calls
        answered = answered_by(turn, open_calls) if turn.role == "tool" else None
        if answered in open_calls:
            open_calls.remove(answered)
        out.append(
            Message(
                role=turn.role,
                content=turn.content,
                reasoning=turn.thinking,
                tool_calls=tuple(calls),
                tool_call_id=answered.id if answered else "",
                name=answered.name if answered else "",
            )
        )
    return out


def called(call: Call, number: int) -> ToolCall:
    arguments = json.dumps(call.function.arguments, ensure_ascii=False)
    return ToolCall(call.id or f"call_{number}", call.function.name, arguments)


def answered_by(turn: Turn, open_calls: list[ToolCall]) -> ToolCall | None:
    """The call that a tool's message answers: by its id, by the tool's name, else the first."""
    nameless = not turn.tool_call_id and not turn.tool_name
    for call in open_calls:
        by_name = not turn.tool_call_id and turn.tool_name == call.name
        if nameless or by_name or turn.tool_call_id == call.id:
            return call
    # The history may begin after the call.
    return None if nameless else ToolCall(turn.tool_call_id or "call", turn.tool_name, "{}")
