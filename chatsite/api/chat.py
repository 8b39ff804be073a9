"""The body of `POST /v1/chat/completions`: every parameter checked, then what the gateway takes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from chatsite.api.guides import Guided
from chatsite.api.parameters import ResponseFormat, StreamOptions, wrong
from chatsite.api.tools import Tool, ToolFunction, Tools, offer, old_offer
from chatsite.api.turns import Turns, messages
from chatsite.gateway.nouns import Sampling, Shape

# What a caller may tell a chat template: no more, since templates are programs (R2).
TEMPLATE_KEYS = frozenset(
    {"enable_thinking", "thinking", "clear_thinking", "reasoning_effort", "thinking_budget"}
)
Efforts = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Tiers = Literal["auto", "default", "flex", "scale", "priority", "fast"]
Ignored = Any
# What OpenAI has and nobody here can do: said, and never silently dropped.
REFUSED = {
    "web_search_options": "this site does not search the web",
    "moderation": "this site does not moderate what is said",
    "chat_template": "the template comes with the model",
}


class ChatBody(Guided):
    """OpenAI's parameters and vLLM's extras. What has no effect here is listed last."""

    messages: Turns
    model: str = Field(min_length=1, max_length=200)
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    response_format: ResponseFormat | None = None
    tools: list[Tool] = Field([], max_length=128)
    tool_choice: Any = None
    parallel_tool_calls: bool = True
    # What tools were before they were many.
    functions: list[ToolFunction] = Field([], max_length=128)
    function_call: Any = None
    modalities: list[Literal["text", "audio"]] = ["text"]
    reasoning_effort: Efforts | None = None
    chat_template_kwargs: dict[str, bool | str | int | float] = {}
    store: bool = False
    metadata: Annotated[
        dict[
            Annotated[str, Field(max_length=64)],
            Annotated[str, Field(max_length=512)],
        ],
        Field(max_length=16),
    ] = {}
    service_tier: Tiers | None = None
    web_search_options: Ignored = None
    moderation: Ignored = None
    chat_template: Ignored = None
    # For accounting and caches elsewhere, or hints that change no answer.
    user: str = Field("", max_length=512)
    safety_identifier: str = Field("", max_length=512)
    prompt_cache_key: str = Field("", max_length=512)
    prompt_cache_retention: str = Field("", max_length=64)
    prompt_cache_options: Ignored = None
    verbosity: Literal["low", "medium", "high"] = "medium"
    prediction: Ignored = None
    # Old samples send it along with modalities that want no sound.
    audio: Ignored = None
    # vLLM's clients send these defaults along; another value would be a wish that is not met.
    add_generation_prompt: Literal[True] = True
    continue_final_message: Literal[False] = False
    echo: Literal[False] = False

    @model_validator(mode="after")
    def agree(self) -> ChatBody:
        if "audio" in self.modalities:
            raise wrong("this model answers in text only, not in audio", "modalities")
        if self.top_logprobs is not None and not self.logprobs:
            raise wrong("it needs 'logprobs' to be true", "top_logprobs")
        if self.stream_options is not None and not self.stream:
            raise wrong("it needs 'stream' to be true", "stream_options")
        if unknown := self.chat_template_kwargs.keys() - TEMPLATE_KEYS:
            raise wrong(f"{min(unknown)[:64]} cannot be set here", "chat_template_kwargs")
        for name, reason in REFUSED.items():
            if getattr(self, name) is not None:
                raise wrong(reason, name)
        return self

    @model_validator(mode="after")
    def once(self) -> ChatBody:
        """Nothing is asked for in two ways."""
        if self.functions and self.tools:
            raise wrong("it is the old word for 'tools'; give one of them", "functions")
        if self.forms and self.response_format and self.response_format.type != "text":
            raise wrong("an answer has one form only", self.forms[0][0])
        return self

    @property
    def limit(self) -> int | None:
        asked = self.max_completion_tokens or self.max_tokens
        return None if asked is None else min(asked, 1 << 24)

    @property
    def usage_wanted(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    @property
    def padding_wanted(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_obfuscation

    @property
    def old_calls(self) -> bool:
        """Whether calls are told in the words of before there were tools."""
        return bool(self.functions)

    @property
    def told(self) -> dict[str, Any]:
        """What the response repeats: every request gets the same service."""
        return {"service_tier": "default"} if self.service_tier else {}

    def sampling(self) -> Sampling:
        return self.drawn((self.top_logprobs or 0) if self.logprobs else None)

    def shape(self) -> Shape:
        asked = self.response_format.shape() if self.response_format else Shape()
        return super().shape() if self.forms else asked

    def template_kwargs(self) -> dict[str, Any]:
        told = dict(self.chat_template_kwargs)
        if self.reasoning_effort is not None:
            told.setdefault("reasoning_effort", self.reasoning_effort)
            told.setdefault("enable_thinking", self.reasoning_effort != "none")
        return told

    def offered(self) -> tuple[Tools, str]:
        if self.functions or self.function_call is not None:
            return old_offer(self.functions, self.function_call)
        return offer(self.tools, self.tool_choice)

    def asked(self) -> dict[str, Any]:
        """What the gateway's `start` takes, for each choice but for its seed."""
        tools, choice = self.offered()
        return {
            "messages": messages(self.messages),
            "shape": self.shape(),
            "tools": tools,
            "tool_choice": choice,
            "parallel_tool_calls": self.parallel_tool_calls and not self.old_calls,
            "template_kwargs": self.template_kwargs(),
        }
