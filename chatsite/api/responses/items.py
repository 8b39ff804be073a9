"""The input items of a response: OpenAI's forms in, and one whole form of each to be kept and told
again. It makes no conversation of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from chatsite.api.body import Part
from chatsite.api.parameters import wrong

Json = dict[str, Any]
TEXTS = {"input_text", "output_text", "text", "reasoning_text", "summary_text"}
# What each kind of item cannot be without.
NEEDED = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "reasoning": (),
    "item_reference": ("id",),
}
MARKS = {
    "message": "msg_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "reasoning": "rs_",
}


class ItemPart(Part):
    """One part of an item. What is no text is refused by name: these models read nothing else."""

    type: str
    text: str | None = None
    refusal: str | None = None
    # Parts of an answer that were for its reader.
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None
    parsed: Any = None
    prompt_cache_breakpoint: Any = None

    @model_validator(mode="before")
    @classmethod
    def readable(cls, data: Any) -> Any:
        kind = data.get("type") if isinstance(data, dict) else None
        if isinstance(kind, str) and kind not in {*TEXTS, "refusal"}:
            raise wrong(f"this model reads text only, not a part of type {kind[:40]}")
        return data

    @model_validator(mode="after")
    def complete(self) -> ItemPart:
        needed = "refusal" if self.type == "refusal" else "text"
        if getattr(self, needed) is None:
            raise wrong(f"a part of type {self.type} needs it", needed)
        return self

    @property
    def words(self) -> str:
        return self.text or self.refusal or ""


def parted(value: Any) -> Any:
    return [{"type": "input_text", "text": value}] if isinstance(value, str) else value


def kinded(data: Any) -> Any:
    """Messages and references come without a type, too."""
    if isinstance(data, dict) and data.get("type") is None:
        return {**data, "type": "message" if "role" in data else "item_reference"}
    return data


Parts = Annotated[
    list[ItemPart],
    BeforeValidator(parted, json_schema_input_type=str | list[ItemPart]),
    Field(max_length=256),
]
Id = Annotated[str, Field(min_length=1, max_length=256)]


class Item(Part):
    """One input item of any kind."""

    type: Literal["message", "function_call", "function_call_output", "reasoning", "item_reference"]
    id: Id | None = None
    status: Literal["in_progress", "completed", "incomplete"] = "completed"
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: Parts | None = None
    call_id: Id | None = None
    name: str | None = Field(None, max_length=256)
    arguments: str | None = None
    output: Parts | None = None
    summary: Parts = []
    encrypted_content: str | None = None
    # Says whether an answer was the last; the chat templates have no place for it.
    phase: Literal["commentary", "final_answer"] | None = None
    # What the SDKs made of the arguments.
    parsed_arguments: Any = None

    @model_validator(mode="before")
    @classmethod
    def known(cls, data: Any) -> Any:
        kind = data.get("type") if isinstance(data, dict) else None
        if isinstance(kind, str) and kind not in NEEDED:
            raise wrong(f"this site has no items of type {kind[:40]}", "type")
        return data

    @model_validator(mode="after")
    def complete(self) -> Item:
        for name in NEEDED[self.type]:
            if getattr(self, name) is None:
                raise wrong(f"an item of type {self.type} needs it", name)
        return self

    def told(self) -> Json:
        """The whole form, but for the id where it has none."""
        head = {"id": self.id, "type": self.type, "status": self.status}
        if self.type == "function_call":
            return {
                **head, "call_id": self.call_id, "name": self.name, "arguments": self.arguments,
            }  # fmt: skip
        if self.type == "function_call_output":
            words = "".join(part.words for part in self.output or ())
            return {**head, "call_id": self.call_id, "output": words}
        if self.type == "reasoning":
            return head | self._reasoning()
        content = [self._content(part) for part in self.content or ()]
        return {**head, "role": self.role, "content": content}

    def _reasoning(self) -> Json:
        content = [{"type": "reasoning_text", "text": part.words} for part in self.content or ()]
        summary = [{"type": "summary_text", "text": part.words} for part in self.summary]
        sealed = {"encrypted_content": self.encrypted_content} if self.encrypted_content else {}
        return {"summary": summary, "content": content, **sealed}

    def _content(self, part: ItemPart) -> Json:
        if self.role != "assistant":
            return {"type": "input_text", "text": part.words}
        if part.type == "refusal":
            return {"type": "refusal", "refusal": part.words}
        return {"type": "output_text", "text": part.words, "annotations": []}


Items = Annotated[
    list[Annotated[Item, BeforeValidator(kinded)]], Field(min_length=1, max_length=4096)
]


def listed(value: Any) -> Any:
    """A text is what a user says."""
    return [{"role": "user", "content": value}] if isinstance(value, str) else value


def named(items: list[Json], response: str) -> list[Json]:
    """The items with an id each; `response` is the one that they belong to."""
    return [
        {**item, "id": item["id"] or f"{MARKS[item['type']]}{response}i{place}"}
        for place, item in enumerate(items)
    ]
