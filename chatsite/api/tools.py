"""The tools of a request and how they may be chosen. It describes them; nothing here runs one."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator, model_validator

from chatsite.api.body import Part
from chatsite.api.errors import invalid
from chatsite.api.parameters import Schema, wrong

NAME = r"^[a-zA-Z0-9_-]*$"
# Ways to choose, which no function can be called.
CHOICES = ("auto", "none", "required")
Tools = tuple[dict[str, Any], ...]


class ToolFunction(Part):
    # Empty in old samples, which want no tool by it.
    name: str = Field(max_length=64, pattern=NAME)
    description: str = Field("", max_length=8192)
    parameters: Schema = {}
    # Arguments follow the schema to the letter wherever a call is forced.
    strict: bool | None = None

    @field_validator("name")
    @classmethod
    def distinct(cls, name: str) -> str:
        if name in CHOICES:
            raise wrong("this word is a way to choose a tool, and no tool's name")
        return name


def of_functions(data: Any) -> Any:
    """A tool as it was sent; refused where it is of another kind than `function`."""
    kind = data.get("type") if isinstance(data, dict) else None
    if isinstance(kind, str) and kind != "function":
        raise wrong("tools of type function are the only ones here", "type")
    return data


class Tool(Part):
    type: str
    function: ToolFunction

    @model_validator(mode="before")
    @classmethod
    def known(cls, data: Any) -> Any:
        return of_functions(data)

    def to_dict(self) -> dict[str, Any]:
        function = self.function
        told = {"name": function.name, "description": function.description}
        return {"type": "function", "function": {**told, "parameters": function.parameters}}


def offer(tools: list[Tool], choice: Any) -> tuple[Tools, str]:
    """The tools that may be called, and how: auto, none, required, or the name of one of them."""
    found = offered(tools)
    if tools and not found:
        # Of those that old samples do not name none can be chosen.
        return (), "auto"
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        return allowed(choice, found)
    return found, chosen(choice, found)


def old_offer(functions: list[ToolFunction], call: Any) -> tuple[Tools, str]:
    """The same in the words of before there were tools: `functions` and `function_call`."""
    if isinstance(call, dict):
        call = {"type": "function", "function": call}
    elif call not in (None, "auto", "none"):
        raise invalid("'function_call' is auto, none or a function's name.", "function_call")
    tools = [Tool(type="function", function=function) for function in functions]
    return offer(tools, call)


def offered(tools: list[Tool]) -> Tools:
    return tuple(tool.to_dict() for tool in tools if tool.function.name)


def chosen(choice: Any, tools: Tools) -> str:
    """auto, none, required, or the name of the one function that must be called."""
    if choice is None or (not tools and choice in ("auto", "none")):
        return "auto"
    if choice in CHOICES:
        if not tools:
            raise invalid("'tool_choice' needs 'tools'.", "tool_choice")
        return str(choice)
    return named(choice, {tool["function"]["name"] for tool in tools})


def named(choice: Any, names: set[str]) -> str:
    try:
        name = choice["function"]["name"] if choice["type"] == "function" else None
    except (KeyError, TypeError):
        name = None
    if not isinstance(name, str):
        message = "'tool_choice' is auto, none, required or the name of a function."
        raise invalid(message, "tool_choice")
    if name not in names:
        raise invalid(f"There is no tool named '{name[:64]}'.", "tool_choice")
    return name


def allowed(choice: dict[str, Any], tools: Tools) -> tuple[Tools, str]:
    """Some of the tools only, by name."""
    try:
        wanted, mode = choice["allowed_tools"]["tools"], choice["allowed_tools"]["mode"]
        names = [each["function"]["name"] for each in wanted]
    except (KeyError, TypeError):
        names, mode = [], None
    known = {tool["function"]["name"]: tool for tool in tools}
    if mode not in ("auto", "required") or not names:
        message = "'allowed_tools' has a mode, auto or required, and the names of some tools."
        raise invalid(message, "tool_choice")
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise invalid(f"There is no tool named '{str(name)[:64]}'.", "tool_choice")
    return tuple(tool for name, tool in known.items() if name in names), str(mode)
