"""`POST /v1/tokenize` and `/v1/detokenize`: their bodies and answers, in the shapes of vLLM."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from chatsite.api.body import Part
from chatsite.api.chat import TEMPLATE_KEYS
from chatsite.api.parameters import TokenId, wrong
from chatsite.api.tools import Tool, offered
from chatsite.api.turns import Turns, messages
from chatsite.gateway.nouns import End, Task

# Characters, or tokens: the engine spells them between two steps of everybody's.
LONGEST = 1 << 19


class TokenizeBody(Part):
    """A text (`prompt`) or a conversation (`messages`)."""

    model: str = Field(min_length=1, max_length=200)
    prompt: str | None = Field(None, max_length=LONGEST)
    messages: Turns | None = None
    # Without it: true for a prompt, false for messages, whose template has the marks in it.
    add_special_tokens: bool | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    return_token_strs: bool = False
    tools: list[Tool] = Field([], max_length=128)
    chat_template_kwargs: dict[str, bool | str | int | float] = {}

    @model_validator(mode="after")
    def agree(self) -> TokenizeBody:
        if (self.prompt is None) == (self.messages is None):
            raise wrong("give either prompt or messages")
        opened = "add_generation_prompt" in self.model_fields_set and self.add_generation_prompt
        if self.continue_final_message and opened:
            raise wrong("it excludes 'add_generation_prompt'", "continue_final_message")
        if unknown := self.chat_template_kwargs.keys() - TEMPLATE_KEYS:
            raise wrong(f"{min(unknown)[:64]} cannot be set here", "chat_template_kwargs")
        if sum(len(turn.text) for turn in self.messages or ()) > LONGEST:
            raise wrong(f"they have more than {LONGEST} characters", "messages")
        return self

    def task(self) -> Task:
        special = self.add_special_tokens
        return Task(
            "tokenize",
            special=self.prompt is not None if special is None else special,
            opened=self.add_generation_prompt and not self.continue_final_message,
            continued=self.continue_final_message,
            pieces=self.return_token_strs,
        )

    def fields(self) -> dict[str, Any]:
        """What is to be spelled."""
        if self.messages is None:
            return {"prompt": self.prompt}
        return {
            "messages": messages(self.messages),
            "tools": offered(self.tools),
            "template_kwargs": dict(self.chat_template_kwargs),
        }

    def answer(self, end: End) -> dict[str, Any]:
        found = end.finish.found
        return {
            "count": len(found["tokens"]),
            "max_model_len": found["context_length"],
            "tokens": found["tokens"],
            "token_strs": found.get("pieces"),
        }


class DetokenizeBody(Part):
    """Ids of tokens, of which the text is wanted."""

    model: str = Field(min_length=1, max_length=200)
    tokens: Annotated[list[TokenId], Field(max_length=LONGEST)]

    def task(self) -> Task:
        return Task("detokenize", tuple(self.tokens))

    def fields(self) -> dict[str, Any]:
        return {}

    def answer(self, end: End) -> dict[str, Any]:
        return {"prompt": end.finish.found["text"]}


TokenBody = TokenizeBody | DetokenizeBody
