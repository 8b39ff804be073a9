"""Tools for models whose chat template has no place for them: told in words, called in one form. It
renders nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from inference.contract import Message, ToolCall
from inference.parse.calls import END_TOOL_CALL, TOOL_CALL
from inference.prompt import PromptError

ABOUT = "You can call these functions, each described by a line of JSON:"
FORM = f'A call is written as {TOOL_CALL}{{"name": …, "arguments": …}}{END_TOOL_CALL}.'


class ToolsError(PromptError):
    """A model that was never shown a tool would leave them out without a word."""

    kind = "tools_refused"


def spell_out(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]]) -> list[Message]:
    """The conversation with the tools before it, calls and their answers in words."""
    turns = [_spelled(message) for message in messages]
    if not tools:
        return turns
    about = "\n".join([ABOUT, *(_json(tool["function"]) for tool in tools), FORM])
    if turns and turns[0].role == "system":
        first = turns[0]
        said = f"{first.content}\n\n{about}"
        return [replace(first, content=said, tokens=(), published=False), *turns[1:]]
    return [Message("system", about), *turns]


def _spelled(message: Message) -> Message:
    if message.role == "tool":
        told = _json({"name": message.name, "content": message.content})
        return Message("user", f"<tool_response>\n{told}\n</tool_response>")
    if not message.tool_calls:
        return message
    parts = [message.content, *map(_call, message.tool_calls)]
    return replace(message, content="\n".join(filter(None, parts)), tool_calls=(), tokens=())


def _call(call: ToolCall) -> str:
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        arguments = call.arguments
    told = _json({"name": call.name, "arguments": arguments})
    return f"{TOOL_CALL}\n{told}\n{END_TOOL_CALL}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
