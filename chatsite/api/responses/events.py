"""The events of one response, as it is told what a model says. It follows no log and sends nothing.

An event's number means the same event for every reader, at whatever time and from whatever source:
the events follow from the words, their order and the end alone. Deltas are cut by the words
themselves (`OutputItem.next_piece`) and not by how they came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatsite.api import answers
from chatsite.api.responses.frame import Ending, Frame
from chatsite.api.responses.output import Json, OutputItem, width
from chatsite.gateway import order
from chatsite.gateway.nouns import Logprob

DELTAS = {
    order.REASONING: "response.reasoning_text",
    order.TEXT: "response.output_text",
}
ARGUMENTS = "response.function_call_arguments"


class Events:
    """`take` gives the events after number `after` that have come since it was asked last."""

    def __init__(self, frame: Frame, after: int = -1) -> None:
        self.frame = frame
        # Characters that it was told, and how many tokens' log probabilities.
        self.told = self.heard = 0
        # What an engine said of a generation that it could not finish.
        self.error: Json | None = None
        self.response = frame.response("queued" if frame.background else "in_progress")
        self._after = after
        self._number = 0
        self._ready: list[Json] = []
        self._items: list[OutputItem] = []
        self._begun = False
        self._logprobs = Aligned()
        self._emit("response.created", lambda: {"response": self.response})
        if frame.background:
            self._emit("response.queued", lambda: {"response": self.response})

    def take(self) -> list[Json]:
        ready, self._ready = self._ready, []
        return ready

    def begin(self) -> None:
        """An engine has begun with it; harmless when repeated."""
        if not self._begun:
            self._begun = True
            self.response = self.frame.response("in_progress")
            self._emit("response.in_progress", lambda: {"response": self.response})

    def hear(self, logprobs: list[Logprob]) -> None:
        """The log probabilities of the next tokens, before what they say."""
        self.heard += len(logprobs)
        if self.frame.with_logprobs:
            self._logprobs.add(logprobs)

    def tell(self, lane: int, words: str, name: str = "") -> None:
        """More of the answer. `name`: of the call that begins."""
        self.begin()
        item = self._items[-1] if self._items else None
        if item is None or item.lane != lane:
            if not words and (lane < 0 or any(each.lane == lane for each in self._items)):
                return
            self._close("completed")
            item = self._open(lane, name)
        item.text += words
        self.told += len(words)
        while piece := item.next_piece():
            self._delta(item, piece)

    def end(self, ending: Ending) -> None:
        self.begin()
        status, self.error = ending.status, ending.error
        if not self._items and status in {"completed", "incomplete"}:
            # Nothing was said: that, too, is a message.
            self._open(order.TEXT, "")
        self._close("completed" if status == "completed" else "incomplete", last=True)
        self.response = self.frame.response(status, self.output(status), ending.outcome())
        # OpenAI has no event for what was cancelled: it is not complete.
        name = "incomplete" if status == "cancelled" else status
        self._emit(f"response.{name}", lambda: {"response": self.response})

    def output(self, status: str) -> list[Json]:
        """The items; the last is as whole as the response."""
        last = {"completed": "completed", "in_progress": "in_progress"}.get(status, "incomplete")
        states = ["completed"] * (len(self._items) - 1) + [last]
        return [item.whole(state) for item, state in zip(self._items, states, strict=False)]

    def _emit(self, kind: str, fields: Callable[[], dict[str, Any]]) -> None:
        if self._number > self._after:
            self._ready.append({"type": kind, "sequence_number": self._number, **fields()})
        self._number += 1

    def _open(self, lane: int, name: str) -> OutputItem:
        index = len(self._items)
        item = OutputItem(lane, index, self.frame.id, name, self.frame.with_seal)
        self._items.append(item)
        self._emit(
            "response.output_item.added", lambda: {"output_index": index, "item": item.begun()}
        )
        if lane < 0:
            self._emit(
                "response.content_part.added", lambda: {**_place(item), "part": item.part("")}
            )
        return item

    def _delta(self, item: OutputItem, piece: str) -> None:
        kind = DELTAS.get(item.lane, ARGUMENTS)
        logprobs = self._logprobs.take(piece) if item.lane < 0 else []
        further: Json = {}
        if item.lane == order.TEXT:
            item.logprobs += logprobs
            further = {"logprobs": brief(logprobs)}
        self._emit(f"{kind}.delta", lambda: {**_place(item), "delta": piece, **further})

    def _close(self, status: str, *, last: bool = False) -> None:
        if not self._items:
            return
        item = self._items[-1]
        if piece := item.rest():
            self._delta(item, piece)
        if last and item.lane == order.TEXT:
            item.logprobs += self._logprobs.rest()
        kind = DELTAS.get(item.lane, ARGUMENTS)
        words = "text" if item.lane < 0 else "arguments"
        further = {"logprobs": brief(item.logprobs)} if item.lane == order.TEXT else {}
        self._emit(f"{kind}.done", lambda: {**_place(item), words: item.text, **further})
        if item.lane < 0:
            self._emit(
                "response.content_part.done", lambda: {**_place(item), "part": item.part(item.text)}
            )
        self._emit(
            "response.output_item.done",
            lambda: {"output_index": item.index, "item": item.whole(status)},
        )


def _place(item: OutputItem) -> Json:
    place = {"item_id": item.id, "output_index": item.index}
    return {**place, "content_index": 0} if item.lane < 0 else place


class Aligned:
    """Log probabilities of tokens beside the words that they spell. A token belongs to the piece in
    which its first byte stands; what spells nothing belongs to none. So a piece never needs a token
    that has not come, whenever it is cut."""

    def __init__(self) -> None:
        self._tokens: list[Logprob] = []
        self._next = 0
        # Bytes before the next token, and of the pieces so far.
        self._begin = self._said = 0

    def add(self, tokens: list[Logprob]) -> None:
        self._tokens += tokens

    def take(self, piece: str) -> list[Json]:
        # Half a character is one byte at least.
        self._said += sum(1 if each == "\ufffd" else width(each) for each in piece)
        found = []
        while self._next < len(self._tokens) and self._begin < self._said:
            found.append(self._tokens[self._next])
            self._begin += len(found[-1].data)
            self._next += 1
        return [_told(token) for token in found if token.data]

    def rest(self) -> list[Json]:
        """Those of the last words where spaces or marks before them were not shown."""
        found = self._tokens[self._next :]
        self._next = len(self._tokens)
        return [_told(token) for token in found if token.data]


def brief(logprobs: list[Json]) -> list[Json]:
    """In events OpenAI tells no bytes."""
    return [
        {**pair(each), "top_logprobs": [pair(other) for other in each["top_logprobs"]]}
        for each in logprobs
    ]


def pair(token: Json) -> Json:
    return {"token": token["token"], "logprob": token["logprob"]}


def _told(token: Logprob) -> Json:
    return {**answers.token(token), "top_logprobs": [answers.token(each) for each in token.top]}
