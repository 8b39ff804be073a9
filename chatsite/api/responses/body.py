"""The body of `POST /v1/responses`: every parameter checked, then what the gateway takes and what
the response tells again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from chatsite.api import tools
from chatsite.api.body import Part
from chatsite.api.chat import TEMPLATE_KEYS, Efforts, Ignored
from chatsite.api.parameters import Drawing, Schema, schema_shape, wrong
from chatsite.api.responses.items import Items, listed
from chatsite.api.tools import Tool, ToolFunction, Tools
from chatsite.gateway.nouns import Sampling, Shape

LOGPROBS, SEALED = "message.output_text.logprobs", "reasoning.encrypted_content"
Include = Literal[
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
    Field(max_length=16),
]
# What OpenAI has and nobody here can do: said, and never silently dropped.
REFUSED = {
    "conversation": "this site keeps no conversations for programs; use 'previous_response_id'",
    "prompt": "this site keeps no prompts; send 'input' and 'instructions'",
    "moderation": "this site does not moderate what is said",
}


class TextFormat(Part):
    type: str
    name: str = Field("", max_length=64)
    description: str = ""
    strict: bool | None = None
    definition: Schema | None = Field(None, alias="schema")

    @model_validator(mode="after")
    def known(self) -> TextFormat:
        if self.type not in {"text", "json_object", "json_schema"}:
            raise wrong("it is one of: text, json_object, json_schema", "type")
        if (self.type == "json_schema") != (self.definition is not None):
            raise wrong("it is given with type json_schema, and only then", "schema")
        if self.type == "json_schema" and not self.name:
            raise wrong("a schema needs it", "name")
        return self

    def shape(self) -> Shape:
        if self.definition is not None:
            return schema_shape(self.definition)
        return Shape("json") if self.type == "json_object" else Shape()

    def told(self) -> dict[str, Any]:
        if self.definition is None:
            return {"type": self.type}
        described = {"description": self.description} if self.description else {}
        schema = {"schema": self.definition, "strict": bool(self.strict)}
        return {"type": self.type, "name": self.name, **described, **schema}


class TextConfig(Part):
    format: TextFormat = TextFormat.model_validate({"type": "text"})
    verbosity: Literal["low", "medium", "high"] = "medium"


class Reasoning(Part):
    effort: Efforts | None = None
    # All of the reasoning is told, so that the best summary is none.
    summary: Literal["auto"] | None = None
    generate_summary: Literal["auto"] | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: Literal["standard"] | None = None


class FunctionTool(ToolFunction):
    type: str

    @model_validator(mode="before")
    @classmethod
    def known(cls, data: Any) -> Any:
        return tools.of_functions(data)

    @model_validator(mode="after")
    def complete(self) -> FunctionTool:
        if not self.name:
            raise wrong("a function needs it", "name")
        return self

    def told(self) -> dict[str, Any]:
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "strict": bool(self.strict),
        }


class ResponseStreamOptions(Part):
    # Padding against listeners on the wire, which no event here has.
    include_obfuscation: bool = False


class ResponseBody(Drawing):
    """OpenAI's parameters, and the extras of vLLM's that drawing has."""

    model: str = Field(min_length=1, max_length=200)
    input: Annotated[Items, BeforeValidator(listed, json_schema_input_type=str | Items)]
    instructions: str | None = None
    previous_response_id: str | None = Field(None, max_length=128)
    background: bool = False
    store: bool = True
    stream: bool = False
    stream_options: ResponseStreamOptions | None = None
    include: list[Include] = Field([], max_length=16)
    max_output_tokens: int | None = Field(None, ge=1)
    # Of tools that the site itself would call: it calls none.
    max_tool_calls: int | None = Field(None, ge=1)
    metadata: Metadata = {}
    parallel_tool_calls: bool = True
    reasoning: Reasoning = Reasoning()
    text: TextConfig = TextConfig()
    tools: list[FunctionTool] = Field([], max_length=128)
    tool_choice: Any = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    truncation: Literal["auto", "disabled"] = "disabled"
    chat_template_kwargs: dict[str, bool | str | int | float] = {}
    conversation: Ignored = None
    prompt: Ignored = None
    moderation: Ignored = None
    context_management: list[Any] = []
    # For accounting and caches elsewhere, or hints that change no answer.
    user: str | None = Field(None, max_length=512)
    safety_identifier: str | None = Field(None, max_length=512)
    prompt_cache_key: str | None = Field(None, max_length=512)
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    prompt_cache_options: Ignored = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None

    @model_validator(mode="after")
    def possible(self) -> ResponseBody:
        for name, reason in REFUSED.items():
            if getattr(self, name) is not None:
                raise wrong(reason, name)
        if self.context_management:
            raise wrong("this site does not compact what was said", "context_management")
        if self.n != 1:
            raise wrong("a response has one answer", "n")
        if self.max_tokens is not None:
            raise wrong("its name is 'max_output_tokens' here", "max_tokens")
        return self

    @model_validator(mode="after")
    def agree(self) -> ResponseBody:
        if self.background and not self.store:
            raise wrong("what goes on in the background has to be stored", "store")
        if self.stream_options is not None and not self.stream:
            raise wrong("it needs 'stream' to be true", "stream_options")
        if unknown := self.chat_template_kwargs.keys() - TEMPLATE_KEYS:
            raise wrong(f"{min(unknown)[:64]} cannot be set here", "chat_template_kwargs")
        return self

    @property
    def limit(self) -> int | None:
        return None if self.max_output_tokens is None else min(self.max_output_tokens, 1 << 24)

    @property
    def logprobs_wanted(self) -> bool:
        return LOGPROBS in self.include or bool(self.top_logprobs)

    def sampling(self) -> Sampling:
        return self.drawn((self.top_logprobs or 0) if self.logprobs_wanted else None)

    def offered(self) -> tuple[Tools, str]:
        """The tools as a chat has them, and the choice among them."""
        functions = [Tool(type="function", function=tool) for tool in self.tools]
        return tools.offer(functions, chat_choice(self.tool_choice))

    def template_kwargs(self) -> dict[str, Any]:
        told = dict(self.chat_template_kwargs)
        if self.reasoning.effort is not None:
            told.setdefault("reasoning_effort", self.reasoning.effort)
            told.setdefault("enable_thinking", self.reasoning.effort != "none")
        return told

    def asked(self) -> dict[str, Any]:
        """What the gateway's `start` takes besides the messages."""
        offered, choice = self.offered()
        return {
            "drop_oldest": self.truncation == "auto",
            "shape": self.text.format.shape(),
            "tools": offered,
            "tool_choice": choice,
            "parallel_tool_calls": self.parallel_tool_calls,
            "template_kwargs": self.template_kwargs(),
        }

    def told(self) -> dict[str, Any]:
        """What the response tells again of the request."""
        return {
            "background": self.background,
            "instructions": self.instructions,
            "max_output_tokens": self.max_output_tokens,
            "max_tool_calls": self.max_tool_calls,
            "metadata": dict(self.metadata),
            "model": self.model,
            "parallel_tool_calls": self.parallel_tool_calls,
            "previous_response_id": self.previous_response_id,
            "prompt_cache_key": self.prompt_cache_key,
            "reasoning": {"effort": self.reasoning.effort, "summary": self.reasoning.summary},
            "safety_identifier": self.safety_identifier,
            "service_tier": "default",
            "store": self.store,
            "temperature": self.temperature,
            "text": {"format": self.text.format.told(), "verbosity": self.text.verbosity},
            "tool_choice": "auto" if self.tool_choice is None else self.tool_choice,
            "tools": [tool.told() for tool in self.tools],
            "top_logprobs": self.top_logprobs or 0,
            "top_p": self.top_p,
            "truncation": self.truncation,
            "user": self.user,
        }


def chat_choice(choice: Any) -> Any:
    """The choice in the form that chat completions have for it."""
    if not isinstance(choice, dict):
        return choice
    if choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    if choice.get("type") == "allowed_tools" and isinstance(choice.get("tools"), list):
        names = [
            {"function": {"name": each.get("name")}}
            for each in choice["tools"]
            if isinstance(each, dict)
        ]
        whole = names if len(names) == len(choice["tools"]) else []
        return {**choice, "allowed_tools": {"mode": choice.get("mode"), "tools": whole}}
    return choice
