"""The items that a model's answer is made of, in OpenAI's shapes, as they grow. They know no event
number and follow no log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.core.signing import BadSignature, Signer

from chatsite.gateway import order

Json = dict[str, Any]
# Bytes of a delta at least; the first of each item is one character, so that nothing waits for it.
PIECE = 3


@dataclass(slots=True)
class OutputItem:
    """One item. `text` is all of its words so far, of which `told` characters were in deltas."""

    lane: int
    index: int
    response: str
    # Of a call.
    name: str = ""
    # Whether reasoning is also told in the form in which it comes back as input.
    sealed: bool = False
    text: str = ""
    told: int = 0
    logprobs: list[Json] = field(default_factory=list)

    @property
    def kind(self) -> str:
        return {order.REASONING: "reasoning", order.TEXT: "message"}.get(self.lane, "function_call")

    @property
    def id(self) -> str:
        # Of the response and the place, so that every reader sees the same.
        mark = {"reasoning": "rs_", "message": "msg_"}.get(self.kind, "fc_")
        return f"{mark}{self.response}o{self.index}"

    def next_piece(self) -> str:
        """The next delta, "" where its last character has not come. Where it ends follows from the
        words alone: however they came, every reader cuts them alike."""
        weight, wanted = 0, PIECE if self.told else 1
        for at in range(self.told, min(self.told + wanted, len(self.text))):
            weight += width(self.text[at])
            if weight >= wanted:
                begin, self.told = self.told, at + 1
                return self.text[begin : at + 1]
        return ""

    def rest(self) -> str:
        """The last delta, at the end."""
        begin, self.told = self.told, len(self.text)
        return self.text[begin:]

    def part(self, text: str) -> Json:
        """The one content part of reasoning or of a message."""
        if self.lane == order.REASONING:
            return {"type": "reasoning_text", "text": text}
        logprobs = self.logprobs if text else []
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}

    def begun(self) -> Json:
        return self._item("in_progress", [], "")

    def whole(self, status: str) -> Json:
        has_part = self.lane < 0
        return self._item(status, [self.part(self.text)] if has_part else [], self.text)

    def _item(self, status: str, content: list[Json], arguments: str) -> Json:
        head = {"id": self.id, "type": self.kind, "status": status}
        if self.lane == order.REASONING:
            seal = {"encrypted_content": sealed(arguments)} if self.sealed and arguments else {}
            return {**head, "summary": [], "content": content, **seal}
        if self.lane == order.TEXT:
            return {**head, "role": "assistant", "content": content}
        # The same as a chat completion of this generation would have.
        call_id = f"call_{self.response[:22]}{self.lane}"
        return {**head, "call_id": call_id, "name": self.name, "arguments": arguments}


def width(character: str) -> int:
    """Its bytes."""
    if character < "\x80":
        return 1
    if character < "\u0800":
        return 2
    return 3 if character < "\U00010000" else 4


SEAL = Signer(salt="chatsite.api.reasoning")


def sealed(text: str) -> str:
    """Reasoning as one word that comes back unchanged. It is no secret: it is told beside it."""
    return SEAL.sign_object(text, compress=True)


def unsealed(word: str) -> str | None:
    try:
        text = SEAL.unsign_object(word)
    except (BadSignature, ValueError):
        return None
    return text if isinstance(text, str) else None
