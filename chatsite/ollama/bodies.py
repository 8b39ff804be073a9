"""The bodies of `/api/chat` and `/api/generate`: checked, then what the gateway takes."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from chatsite.api.errors import invalid
from chatsite.api.tools import Tool as NamedTool
from chatsite.api.tools import ToolFunction as NamedFunction
from chatsite.api.tools import offered
from chatsite.catalogue.models import Model
from chatsite.gateway.nouns import Message, Sampling
from chatsite.ollama.loose import (
    USUAL,
    Format,
    Images,
    KeepAlive,
    Loose,
    Name,
    Options,
    Think,
    lets_go,
    shape,
    template_kwargs,
)
from chatsite.ollama.turns import Turns, messages


class ToolFunction(NamedFunction, Loose):
    pass


class Tool(NamedTool, Loose):
    type: str = "function"
    function: ToolFunction


class Asked(Loose):
    """What both have."""

    model: Name
    # Ollama streams unless it is told not to.
    stream: bool = True
    options: Options = USUAL
    format: Format = ""
    think: Think = None
    keep_alive: KeepAlive = None
    # Ollama leaves out the oldest messages of a conversation that has become too long.
    truncate: bool = True
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)

    @property
    def is_empty(self) -> bool:
        """Nothing is said: the model is only to be loaded, or to be let go."""
        raise NotImplementedError

    @property
    def lets_go(self) -> bool:
        return self.is_empty and lets_go(self.keep_alive)

    def sampling(self) -> Sampling:
        return self.options.sampling(self.top_logprobs if self.logprobs else None)

    def asked(self, model: Model) -> dict[str, Any]:
        """What the gateway's `start` takes."""
        raise NotImplementedError

    def formed(self) -> dict[str, Any]:
        kwargs = template_kwargs(self.think)
        known = {"shape": shape(self.format), "template_kwargs": kwargs}
        return {**known, "drop_oldest": self.truncate}


class ChatBody(Asked):
    messages: Turns = []
    tools: list[Tool] = Field([], max_length=128)

    @property
    def is_empty(self) -> bool:
        return not self.messages

    def asked(self, model: Model) -> dict[str, Any]:
        turns = messages(self.messages)
        if turns[0].role != "system":
            turns = [*published(model), *turns]
        return {**self.formed(), "messages": turns, "tools": offered([*self.tools])}


class TextBody(Asked):
    prompt: str = ""
    suffix: str = ""
    system: str = ""
    template: str = ""
    context: list[Any] = []
    images: Images = []
    raw: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.prompt

    def asked(self, model: Model) -> dict[str, Any]:
        if self.suffix:
            raise invalid(f"{self.model} does not support insert: leave out 'suffix'.", "suffix")
        if self.template:
            raise invalid("'template' cannot be set here: a model brings its own.", "template")
        if self.context:
            message = "'context' is not kept here: send the conversation to /api/chat."
            raise invalid(message, "context")
        if not self.raw:
            own = [Message("system", self.system)] if self.system else published(model)
            return {**self.formed(), "messages": [*own, Message("user", self.prompt)]}
        if self.system:
            raise invalid("raw mode does not support template, system, or context", "raw")
        return {"prompt": self.prompt, "shape": shape(self.format)}


def published(model: Model) -> list[Message]:
    """The system prompt of a model is for conversations that have none of their own."""
    if not model.system_prompt:
        return []
    return [Message("system", model.system_prompt, published=True)]
