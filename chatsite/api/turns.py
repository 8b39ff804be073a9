"""The messages of a chat request: OpenAI's roles and content parts into the engine room's turns."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from chatsite.api.body import Part
from chatsite.api.errors import invalid
from chatsite.api.parameters import wrong
from chatsite.gateway.nouns import Message, ToolCall


class Content(Part):
    """One part of a message. What is no text is refused by name: these models read nothing else."""

    type: Literal["text", "refusal"]
    text: str | None = None
    refusal: str | None = None
    # Where something may be remembered from: here everything is.
    prompt_cache_breakpoint: Any = None

    @model_validator(mode="before")
    @classmethod
    def readable(cls, data: Any) -> Any:
        kind = data.get("type") if isinstance(data, dict) else None
        if isinstance(kind, str) and kind not in {"text", "refusal"}:
            raise wrong(f"this model reads text only, not a part of type {kind[:40]}")
        return data

    @model_validator(mode="after")
    def complete(self) -> Content:
        if (self.text if self.type == "text" else self.refusal) is None:
            raise wrong(f"a part of type {self.type} needs it", self.type)
        return self


def parted(value: Any) -> Any:
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


Parts = Annotated[list[Content], Field(min_length=1, max_length=256)]


class Function(Part):
    name: str = Field(max_length=256)
    arguments: str
    # The SDKs keep here what they made of the arguments, and send it back.
    parsed_arguments: Any = None


class Call(Part):
    id: str = Field(max_length=256)
    type: Literal["function"] = "function"
    function: Function
    # Left over where somebody put a stream's pieces together.
    index: int | None = None


class Turn(Part):
    """One message of any role."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Annotated[
        list[Content] | None,
        BeforeValidator(parted, json_schema_input_type=str | Parts | None),
        Field(min_length=1, max_length=256),
    ] = None
    # Tells participants apart, for which chat templates have no place; a function's is its own.
    name: str | None = Field(None, max_length=256)
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = Field(None, max_length=128)
    tool_call_id: str | None = Field(None, max_length=256)
    # What tools were before they were many.
    function_call: Function | None = None
    # An answer's sound, which is not here.
    audio: None = None
    # Parts of an answer that were for its reader.
    annotations: list[Any] | None = None
    parsed: Any = None

    @model_validator(mode="after")
    def complete(self) -> Turn:
        if self.role == "tool" and self.tool_call_id is None:
            raise wrong("a message of role tool needs it", "tool_call_id")
        if self.role == "function" and self.name is None:
            raise wrong("a message of role function needs it", "name")
        if self.content is None and not (self.role == "assistant" and self.said_otherwise):
            raise wrong(f"a message of role {self.role} needs it", "content")
        return self

    @property
    def said_otherwise(self) -> bool:
        said = (self.tool_calls, self.function_call, self.refusal, self.reasoning_content)
        return any(each not in (None, []) for each in said)

    @property
    def text(self) -> str:
        parts = "".join(part.text or part.refusal or "" for part in self.content or ())
        return parts or self.refusal or ""

    def calls(self, number: int) -> tuple[ToolCall, ...]:
        """What it called; `number` is its place in the conversation."""
        found = [
            ToolCall(call.id, call.function.name, call.function.arguments)
            for call in self.tool_calls or ()
        ]
        if self.function_call and not found:
            call = self.function_call
            found = [ToolCall(f"call_{number}", call.name, call.arguments)]
        return tuple(found)


Turns = Annotated[list[Turn], Field(min_length=1, max_length=4096)]
ROLES = {"developer": "system", "function": "tool"}


def messages(turns: list[Turn]) -> tuple[Message, ...]:
    """The turns as an engine gets them; a tool's answer is told which tool it was."""
    names: dict[str, str] = {}
    out = []
    for number, turn in enumerate(turns):
        calls = turn.calls(number)
        names |= {call.id: call.name for call in calls}
        answered = answered_call(turn, number, names)
        out.append(
            Message(
                role=ROLES.get(turn.role, turn.role),
                content=turn.text,
                reasoning=turn.reasoning_content or "",
                tool_calls=calls,
                tool_call_id=answered,
                name=names.get(answered, ""),
            )
        )
    return tuple(out)


def answered_call(turn: Turn, number: int, names: dict[str, str]) -> str:
    """The id of the call that a message answers, "" for one that answers none."""
    if turn.role == "function":
        found = [id for id, name in names.items() if name == turn.name]
        if not found:
            message = "There is no earlier call of this function."
            raise invalid(message, f"messages.{number}.name")
        return found[-1]
    if turn.role != "tool":
        return ""
    answered = turn.tool_call_id or ""
    if answered not in names:
        message = "There is no earlier tool call with this id."
        raise invalid(message, f"messages.{number}.tool_call_id")
    return answered
