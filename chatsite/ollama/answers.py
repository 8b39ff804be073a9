"""Answers in Ollama's shapes: the lines of a stream, and the whole. Pure functions of what was
read."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from chatsite.api import answers
from chatsite.api.answers import Json, Said
from chatsite.api.calls import Choice, Piece
from chatsite.gateway.nouns import End, Logprob

SECOND = 1_000_000_000


@dataclass(kw_only=True)
class Answer:
    """One answer as it grows. `model` is the name that the caller said."""

    model: str
    choice: Choice
    # time.monotonic() when the request came.
    began: float
    said: Said = field(init=False)
    # Tool calls that were told.
    told: int = 0

    def __post_init__(self) -> None:
        self.said = Said(self.choice.row.pk.hex)

    def add(self, piece: Piece) -> list[Json]:
        """The lines that this piece makes; the last has the figures."""
        self.said.add(piece)
        out = []
        calls = self._whole_calls(ended=piece.end is not None)
        if piece.text or piece.reasoning or calls or piece.logprobs:
            words = self.words(piece.text, piece.reasoning, calls)
            out.append(self._line(words, piece.logprobs, done=False))
        if piece.end:
            out.append(self._line(self.words("", "", []), [], done=True) | self._end(piece.end))
        return out

    def whole(self) -> Json:
        """All of it as one object."""
        assert self.said.end
        calls = self._whole_calls(ended=True)
        words = self.words(self.said.text, self.said.reasoning, calls)
        return self._line(words, self.said.logprobs, done=True) | self._end(self.said.end)

    def silence(self) -> Json:
        """A line that says nothing, for those who wait."""
        return self._line(self.words("", "", []), [], done=False)

    def words(self, text: str, thinking: str, calls: list[Json]) -> Json:
        """The part of a line in which the two kinds of answers differ."""
        raise NotImplementedError

    def _line(self, words: Json, logprobs: Sequence[Logprob], *, done: bool) -> Json:
        line = {**head(self.model), **words, "done": done}
        return {**line, "logprobs": [likely(each) for each in logprobs]} if logprobs else line

    def _end(self, end: End) -> Json:
        reason = "length" if end.finish.reason == "length" else "stop"
        return {"done_reason": reason, **figures(end, self.choice.loading, self.began)}

    def _whole_calls(self, *, ended: bool) -> list[Json]:
        """Calls that are complete now: the last one is when the next begins."""
        made = self.said.calls if ended else self.said.calls[:-1]
        fresh, self.told = made[self.told :], max(self.told, len(made))
        calls = [call_of(number, call) for number, call in enumerate(fresh, len(made) - len(fresh))]
        return [call for call in calls if call]


class ChatAnswer(Answer):
    def words(self, text: str, thinking: str, calls: list[Json]) -> Json:
        message: Json = {"role": "assistant", "content": text}
        if thinking:
            message["thinking"] = thinking
        if calls:
            message["tool_calls"] = calls
        return {"message": message}


class TextAnswer(Answer):
    def words(self, text: str, thinking: str, calls: list[Json]) -> Json:
        return {"response": text, "thinking": thinking} if thinking else {"response": text}


class RawAnswer(Answer):
    """What a model thinks is part of what it wrote."""

    def words(self, text: str, thinking: str, calls: list[Json]) -> Json:
        return {"response": thinking + text}


def head(model: str) -> Json:
    return {"model": model, "created_at": stamp(datetime.now(UTC))}


def stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def call_of(number: int, call: Json) -> Json | None:
    """A call with its arguments as an object; one that was cut off is none."""
    function: Json = call["function"]
    try:
        arguments: Any = json.loads(function["arguments"] or "{}")
    except (ValueError, RecursionError):
        return None
    if not isinstance(arguments, dict):
        return None
    named = {"index": number, "name": function["name"], "arguments": arguments}
    return {"id": call["id"], "function": named}


def likely(found: Logprob) -> Json:
    told = answers.token(found)
    if found.top:
        told["top_logprobs"] = [answers.token(each) for each in found.top]
    return told


def figures(end: End, loading: float, began: float) -> Json:
    """Counts, and durations in nanoseconds. `loading`: seconds in which the model was loaded."""
    stats = end.stats
    total = time.monotonic() - began
    count, rate = stats.get("completion_tokens") or 0, stats.get("tokens_per_second")
    first = stats.get("first_token_ms", 0) / 1000
    writing = (count - 1) / rate if rate else max(total - first, 0)
    return {
        "total_duration": nanoseconds(total),
        "load_duration": nanoseconds(loading),
        "prompt_eval_count": stats.get("prompt_tokens") or 0,
        "prompt_eval_duration": nanoseconds(max(first - loading, 0)),
        "eval_count": count,
        # Clients divide by it.
        "eval_duration": max(nanoseconds(writing), 1),
    }


def nanoseconds(seconds: float) -> int:
    return int(seconds * SECOND)
