"""What a provider streams, as pieces of an answer. It trusts no field to be what it should be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from inference.contract import CallDelta, Logprob
from inference.remote import troubles
from inference.remote.troubles import Trouble

DONE = b"[DONE]"
REASONS = {
    "stop": "stop",
    "eos": "stop",
    "end_turn": "stop",
    "tool_calls": "stop",
    "function_call": "stop",
    "length": "length",
    "max_tokens": "length",
}
# Calls in one answer, beyond which it is nonsense.
MOST_CALLS = 128
# A provider does not tell the ids of its tokens, or those of another vocabulary.
UNKNOWN = -1
# Characters of a token, about: where a provider counts nothing.
TOKEN_CHARS = 4


@dataclass(frozen=True, slots=True)
class Piece:
    """What one chunk added."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[CallDelta, ...] = ()
    logprobs: tuple[Logprob, ...] = ()


@dataclass(slots=True)
class Reader:
    """An answer as it grows. `reason` is empty until the provider has said how it ends."""

    key: str = field(repr=False)
    pieces: int = 0
    reason: str = ""
    done: bool = False
    usage: dict[str, Any] = field(default_factory=dict)
    # A provider's numbers of the calls, in the order in which they came: ours have no gaps.
    _calls: list[Any] = field(default_factory=list)

    def read(self, lines: Iterable[bytes]) -> Iterator[Piece]:
        """The pieces of a stream of events, empty ones too: they may have brought the end."""
        for data in events(lines):
            if data == DONE:
                self.done = True
                return
            yield self.take(_json(data))

    def take(self, chunk: Any) -> Piece:
        """One chunk, or an answer that came whole."""
        if not isinstance(chunk, dict):
            raise Trouble("remote_garbage", "a chunk is no object")
        if chunk.get("error"):
            raise troubles.of_error(troubles.read_error(json.dumps(chunk).encode()), self.key)
        if isinstance(chunk.get("usage"), dict):
            self.usage = chunk["usage"]
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        if not isinstance(choice, dict):
            raise Trouble("remote_garbage", "a choice is no object")
        if reason := choice.get("finish_reason"):
            self.reason = str(reason)
        delta = choice.get("delta") or choice.get("message") or {}
        if not isinstance(delta, dict):
            raise Trouble("remote_garbage", "a delta is no object")
        piece = Piece(
            _text(choice.get("text")) + _text(delta.get("content")) + _text(delta.get("refusal")),
            _text(delta.get("reasoning_content")) or _text(delta.get("reasoning")),
            tuple(self._call(call) for call in _list(delta.get("tool_calls"))),
            tuple(_logprobs(choice.get("logprobs"))),
        )
        self.pieces += piece != Piece()
        return piece

    def end(self) -> str:
        """stop or length; Trouble where the answer is not whole."""
        if self.reason == "content_filter":
            raise Trouble("remote_filtered")
        if self.reason == "error" or not (self.reason or self.done):
            raise Trouble("remote_cut")
        return REASONS.get(self.reason, "stop")

    def stats(self, asked: int) -> dict[str, Any]:
        """The provider's count, or ours by what was `asked` (in characters) where it has none."""
        prompt, completion = self._count("prompt_tokens"), self._count("completion_tokens")
        if completion is None and not self.pieces:
            # Vectors have no tokens of their own.
            completion = 0
        if prompt is None or completion is None:
            prompt, completion = -(-asked // TOKEN_CHARS), self.pieces
            return {"prompt_tokens": prompt, "completion_tokens": completion, "estimated": True}
        stats = {"prompt_tokens": prompt, "completion_tokens": completion}
        for group, name, ours in (
            ("prompt_tokens_details", "cached_tokens", "cached_tokens"),
            ("completion_tokens_details", "reasoning_tokens", "reasoning_tokens"),
        ):
            details = self.usage.get(group)
            known = details.get(name) if isinstance(details, dict) else None
            if type(known) is int and known > 0:
                stats[ours] = known
        return stats

    def _count(self, name: str) -> int | None:
        known = self.usage.get(name)
        return known if type(known) is int and 0 <= known < 1 << 31 else None

    def _call(self, call: Any) -> CallDelta:
        if not isinstance(call, dict):
            raise Trouble("remote_garbage", "a call is no object")
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        name = _text(function.get("name"))
        number = call.get("index")
        if number is None:
            # Where calls have no numbers, a name begins the next one.
            number = len(self._calls) if name or not self._calls else self._calls[-1]
        if number not in self._calls:
            self._calls.append(number)
            if len(self._calls) > MOST_CALLS:
                raise Trouble("remote_garbage", "too many calls")
        else:
            # The name came with the first; some repeat it.
            name = ""
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        return CallDelta(self._calls.index(number), name, _text(arguments))


def vectors(data: Any, count: int) -> list[list[float]]:
    """The vectors of all inputs in their order; Trouble where one is missing or none."""
    entries = _list(data.get("data")) if isinstance(data, dict) else []
    found: dict[int, list[float]] = {}
    for place, entry in enumerate(entries):
        entry = entry if isinstance(entry, dict) else {}
        given, number = _list(entry.get("embedding")), entry.get("index", place)
        values = [value for each in given if (value := _number(each)) is not None]
        if not values or len(values) != len(given) or type(number) is not int:
            raise Trouble("remote_garbage", "a vector is none")
        found[number] = values
    if found.keys() != set(range(count)):
        raise Trouble("remote_garbage", "not one vector for each input")
    return [found[index] for index in range(count)]


def events(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The data of server-sent events; comments and other fields are passed over."""
    held: list[bytes] = []
    for line in lines:
        if line.startswith(b"data:"):
            held.append(line[5:].removeprefix(b" "))
        elif not line and held:
            yield b"\n".join(held)
            held = []
    if held:
        yield b"\n".join(held)


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Trouble("remote_garbage", "an event is no JSON") from None


def _text(value: Any) -> str:
    if isinstance(value, str):
        # Half characters cannot be written on.
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        # Content in parts, of which the texts count.
        return "".join(_text(part.get("text")) for part in value if isinstance(part, dict))
    return ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _logprobs(found: Any) -> Iterator[Logprob]:
    """Of a chat's choice ({"content": […]}) or of a plain completion's ({"tokens": […], …})."""
    if not isinstance(found, dict):
        return
    for entry in _list(found.get("content")):
        if isinstance(entry, dict) and (known := _logprob(entry)):
            tops = (_logprob(each) for each in _list(entry.get("top_logprobs")))
            yield Logprob(UNKNOWN, known.data, known.logprob, tuple(top for top in tops if top))
    tokens, values = _list(found.get("tokens")), _list(found.get("token_logprobs"))
    tops_of = _list(found.get("top_logprobs"))
    for place, (token, value) in enumerate(zip(tokens, values, strict=False)):
        if known := _logprob({"token": token, "logprob": value}):
            given = tops_of[place] if place < len(tops_of) else None
            pairs = given.items() if isinstance(given, dict) else ()
            tops = (_logprob({"token": t, "logprob": v}) for t, v in pairs)
            yield Logprob(UNKNOWN, known.data, known.logprob, tuple(top for top in tops if top))


def _logprob(entry: Any) -> Logprob | None:
    value = _number(entry.get("logprob")) if isinstance(entry, dict) else None
    if value is None:
        return None
    data, text = entry.get("bytes"), entry.get("token")
    if not (isinstance(data, list) and all(type(b) is int and 0 <= b < 256 for b in data)):
        data = _text(text).encode()
    return Logprob(UNKNOWN, tuple(data), value)


def _number(value: Any) -> float | None:
    """One that JSON can tell on."""
    if type(value) not in {int, float} or not -1e300 < value < 1e300:
        return None
    return float(value)
