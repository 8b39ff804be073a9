"""Chat completions and their chunks in OpenAI's shapes. Pure functions of what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chatsite.api.calls import Choice, Piece
from chatsite.gateway.nouns import CallDelta, End, Logprob

Json = dict[str, Any]
# OpenAI's word for a token that is very unlikely.
UNLIKELY = -9999.0


@dataclass(slots=True)
class Said:
    """One choice, added up."""

    generation: str
    text: str = ""
    reasoning: str = ""
    calls: list[Json] = field(default_factory=list)
    logprobs: list[Logprob] = field(default_factory=list)
    vectors: dict[int, Sequence[float]] = field(default_factory=dict)
    end: End | None = None

    def add(self, piece: Piece) -> None:
        self.text += piece.text
        self.reasoning += piece.reasoning
        self.logprobs += piece.logprobs
        self.vectors |= piece.vectors
        self.end = piece.end or self.end
        for call in piece.calls:
            if call.index == len(self.calls):
                self.calls.append(new_call(self.generation, call))
            else:
                self.calls[call.index]["function"]["arguments"] += call.arguments


def new_call(generation: str, call: CallDelta) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    # Made of the generation and the place, so that every reader of the log sees the same.
    return {"id": f"call_{generation[:22]}{call.index}", "type": "function", "function": function}


def call_delta(generation: str, call: CallDelta) -> Json:
    if call.name:
        return {"index": call.index, **new_call(generation, call)}
    return {"index": call.index, "function": {"arguments": call.arguments}}


def old_delta(call: CallDelta) -> Json:
    """The same for who asked with `functions`: there is one call, and it has no id."""
    if call.name:
        return {"name": call.name, "arguments": call.arguments}
    return {"arguments": call.arguments}


def finish_reason(end: End, *, called: bool, old_calls: bool = False) -> str:
    if called and end.finish.reason == "stop":
        return "function_call" if old_calls else "tool_calls"
    return "length" if end.finish.reason == "length" else "stop"


def logprobs(found: Sequence[Logprob], *, wanted: bool) -> Json | None:
    if not wanted:
        return None
    content = [
        {**token(each), "top_logprobs": [token(other) for other in each.top]} for each in found
    ]
    return {"content": content, "refusal": None}


def token(found: Logprob) -> Json:
    data = list(found.data)
    text = bytes(data).decode(errors="replace")
    # JSON has no word for what is impossible.
    return {"token": text, "logprob": max(found.logprob, UNLIKELY), "bytes": data}


def usage(ends: Sequence[End], prompts: int = 1) -> Json:
    """The choices of a prompt share it: it counts once, however many they are."""
    stats = [end.stats for end in ends]
    shared = max(1, len(ends) // prompts)
    prompt = sum(each.get("prompt_tokens") or 0 for each in stats) // shared
    cached = max((each.get("cached_tokens") or 0 for each in stats), default=0)
    completion = sum(each.get("completion_tokens") or 0 for each in stats)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def choice(number: int, said: Said, *, with_logprobs: bool, old_calls: bool = False) -> Json:
    assert said.end
    message: Json = {"role": "assistant", "content": said.text, "refusal": None}
    if said.reasoning:
        message["reasoning_content"] = said.reasoning
    if said.calls:
        calls = {"function_call": said.calls[0]["function"]}
        message |= calls if old_calls else {"tool_calls": said.calls}
        message["content"] = said.text or None
    return {
        "index": number,
        "message": message,
        "logprobs": logprobs(said.logprobs, wanted=with_logprobs),
        "finish_reason": finish_reason(said.end, called=bool(said.calls), old_calls=old_calls),
    }


def completion(
    head: Json, saids: Sequence[Said], *, with_logprobs: bool, old_calls: bool = False
) -> Json:
    choices = [
        choice(number, said, with_logprobs=with_logprobs, old_calls=old_calls)
        for number, said in enumerate(saids)
    ]
    ends = [said.end for said in saids if said.end]
    return {**head, "choices": choices, "usage": usage(ends)}


def head(kind: str, call: str, created: int, model: str) -> Json:
    return {
        "id": f"chatcmpl-{call}",
        "object": kind,
        "created": created,
        "model": model,
        "system_fingerprint": None,
    }


def delta(read: Choice, piece: Piece, *, old_calls: bool = False) -> Json:
    out: Json = {}
    if piece.text:
        out["content"] = piece.text
    if piece.reasoning:
        out["reasoning_content"] = piece.reasoning
    calls = joined(piece.calls)
    if calls and not old_calls:
        out["tool_calls"] = [call_delta(read.row.pk.hex, call) for call in calls]
    # The old words have room for one.
    if old_calls and (first := next((call for call in calls if call.index == 0), None)):
        out["function_call"] = old_delta(first)
    return out


def joined(calls: Sequence[CallDelta]) -> list[CallDelta]:
    """What came of each call as one: in a chunk every call stands once."""
    whole: dict[int, CallDelta] = {}
    for call in calls:
        before = whole.get(call.index, CallDelta(call.index))
        whole[call.index] = CallDelta(
            call.index, before.name or call.name, before.arguments + call.arguments
        )
    return list(whole.values())
