"""What a model reads for a response: what went before, the input items, and of both the turns of a
conversation. It writes no row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID

from chatsite.accounts.models import User
from chatsite.api import stored
from chatsite.api.body import BODY_BYTES, texts
from chatsite.api.errors import ApiError, invalid
from chatsite.api.models import Stored
from chatsite.api.responses.events import Events
from chatsite.api.responses.frame import of_stored
from chatsite.api.responses.items import Item
from chatsite.api.responses.output import unsealed
from chatsite.api.responses.told import Told
from chatsite.gateway import actions as gateway
from chatsite.gateway import order, replay
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import Message, ToolCall
from chatsite.gateway.packing import known, unpack

Json = dict[str, Any]
# Responses in a row: each of them is read again with every further one.
LONGEST = 1024


@dataclass(frozen=True, slots=True)
class Past:
    """What a response goes on from: the ids of the responses, their items, and by the ids of those
    that are answers the tokens with which they were written."""

    chain: tuple[str, ...] = ()
    items: tuple[Json, ...] = ()
    tokens: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def response_of(kept: Stored, row: Generation, include: Sequence[str] = ()) -> Json:
    """A response as its row has it by now, which may be its last state."""
    events = Events(of_stored(kept, include))
    told = Told(0, row, events=events)
    if not row.is_live:
        told.read(replay.entries(row))
        return events.response
    told.read(replay.written(row))
    if row.stop_asked:
        return events.frame.response("cancelled", events.output("cancelled"))
    if kept.background and not row.position and gateway.waits(row):
        return events.response
    return events.frame.response("in_progress", events.output("in_progress"))


def past(owner: User, id: str | None, model: str) -> Past:
    """What stands before a response of this model that goes on from that one."""
    if id is None:
        return Past()
    pk = stored.number(Stored.Kind.RESPONSE, id)
    last = stored.mine(owner, Stored.Kind.RESPONSE).filter(pk=pk).first() if pk else None
    if last is None:
        raise lost(id)
    chain = (*last.chain, last.pk.hex)
    if len(chain) > LONGEST:
        raise invalid("There are too many responses before this one.", "previous_response_id")
    return recall(owner, chain, model)


def recall(owner: User, chain: Sequence[str], model: str) -> Past:
    """The items of these responses, one after the other. One that was deleted is missed: a
    conversation with a hole would be another one."""
    found = {kept.pk.hex: kept for kept in kept_of(owner, chain)}
    items: list[Json] = []
    tokens: dict[str, tuple[int, ...]] = {}
    for id in chain:
        if id not in found:
            raise lost(f"resp_{id}")
        kept = found[id]
        row = stored.current(kept.generation)
        if row.is_live:
            raise invalid(f"Response 'resp_{id}' has not ended yet.", "previous_response_id")
        output = response_of(kept, row)["output"]
        items += [*kept.said, *output]
        if row.model == model and len(output) == 1 and output[0]["type"] == "message":
            tokens[output[0]["id"]] = written(row)
    return Past(tuple(chain), tuple(items), tokens)


def kept_of(owner: User, chain: Sequence[str]) -> list[Stored]:
    pks = [UUID(id) for id in chain]
    rows = stored.mine(owner, Stored.Kind.RESPONSE).filter(pk__in=pks)
    found, size = [], 0
    # Not all at once: each may be as large as a body.
    for kept in rows.iterator(chunk_size=8):
        size = weigh(size, kept.said, "previous_response_id")
        found.append(kept)
    return found


def weigh(size: int, more: Any, param: str) -> int:
    """The characters so far and of this. What is called up again has the bound of a body: a small
    one could ask for any amount otherwise."""
    size += sum(map(len, texts(more)))
    if size > BODY_BYTES:
        message = f"What this names or goes on from is larger than {BODY_BYTES >> 20} MB."
        raise invalid(message, param, "context_length_exceeded")
    return size


def lost(id: str) -> ApiError:
    message = f"Previous response with id '{id[:64]}' not found."
    return invalid(message, "previous_response_id", "previous_response_not_found")


def written(row: Generation) -> tuple[int, ...]:
    """The tokens of an answer that is nothing but its text."""
    plain = [run[0] for run in row.runs] == [order.TEXT]
    return known(unpack(bytes(row.tokens))) if plain else ()


def input_items(kept: Stored) -> list[Json]:
    """All items that a response was made of, the oldest first; of what was deleted none."""
    found = {each.pk.hex: each for each in kept_of(kept.owner, kept.chain)}
    before = [found[id] for id in kept.chain if id in found]
    items: list[Json] = []
    for each in before:
        items += each.said
        items += response_of(each, stored.current(each.generation))["output"]
    return items + list(kept.said)


def read(owner: User, items: Sequence[Item]) -> list[Json]:
    """The items in their whole form. A reference becomes what it names, which is this person's."""

    @cache
    def items_of(response: str) -> list[Json]:
        pk = stored.number(Stored.Kind.RESPONSE, response)
        kept = stored.mine(owner, Stored.Kind.RESPONSE).filter(pk=pk).first() if pk else None
        if kept is None:
            return []
        return [*response_of(kept, stored.current(kept.generation))["output"], *kept.said]

    found, size = [], 0
    for place, item in enumerate(items):
        if item.type != "item_reference":
            found.append(item.told())
            continue
        found.append(referred(items_of, item.id or "", place))
        size = weigh(size, found[-1], f"input.{place}.id")
    return found


def referred(items_of: Callable[[str], list[Json]], id: str, place: int) -> Json:
    response = id.partition("_")[2][:32]
    for item in items_of(f"resp_{response}"):
        if item["id"] == id:
            return dict(item)
    raise invalid(f"Item with id '{id[:64]}' not found.", f"input.{place}.id")


def messages(
    items: Sequence[Json],
    instructions: str | None,
    tokens: Mapping[str, tuple[int, ...]],
) -> tuple[Message, ...]:
    """The turns of a conversation. What an answer was made of (reasoning, words, calls) are several
    items and one turn."""
    turns = Turns(tokens)
    if instructions:
        turns.done.append(Message("system", instructions))
    for item in items:
        turns.add(item)
    turns.close()
    return tuple(turns.done)


class Turns:
    """Turns as they are put together, item by item."""

    def __init__(self, tokens: Mapping[str, tuple[int, ...]]) -> None:
        self.done: list[Message] = []
        self._tokens = tokens
        self._names: dict[str, str] = {}
        self._reasoning: list[str] = []
        self._calls: list[ToolCall] = []
        # The id and the words of the answer's message.
        self._said: tuple[str, str] | None = None

    def add(self, item: Json) -> None:
        kind = item["type"]
        if kind == "reasoning":
            if self._said or self._calls:
                self.close()
            self._reasoning.append(thought(item))
        elif kind == "function_call":
            self._names[item["call_id"]] = item["name"]
            self._calls.append(ToolCall(item["call_id"], item["name"], item["arguments"]))
        elif kind == "message" and item["role"] == "assistant":
            if self._said or self._calls:
                self.close()
            self._said = (item["id"] or "", words(item))
        else:
            self.close()
            self.done.append(self._other(item))

    def close(self) -> None:
        """The answer that is open is whole."""
        if self._said or self._calls or any(self._reasoning):
            id, said = self._said or ("", "")
            reasoning = "\n\n".join(filter(None, self._reasoning))
            known = () if reasoning or self._calls else self._tokens.get(id, ())
            message = Message("assistant", said, reasoning, tuple(self._calls), tokens=known)
            self.done.append(message)
        self._reasoning, self._calls, self._said = [], [], None

    def _other(self, item: Json) -> Message:
        if item["type"] == "message":
            return Message("user" if item["role"] == "user" else "system", words(item))
        call = item["call_id"]
        if call not in self._names:
            message = f"No tool call found for function call output with call_id {call[:64]}."
            raise invalid(message, "input")
        name = self._names[call]
        return Message("tool", item["output"], tool_call_id=call, name=name)


def words(item: Json) -> str:
    return "".join(part.get("text") or part.get("refusal") or "" for part in item["content"])


def thought(item: Json) -> str:
    """The words of reasoning, or those that its sealed form has."""
    said = words(item)
    if said or not item.get("encrypted_content"):
        return said
    text = unsealed(item["encrypted_content"])
    if text is None:
        message = "The encrypted content of this reasoning does not come from this site."
        raise invalid(message, "input", "invalid_encrypted_content")
    return text
