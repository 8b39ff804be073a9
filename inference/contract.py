"""The nouns that cross the boundaries: requests, tokens, events. JSON outside, dataclasses
inside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What an engine needs to load a model; equal specs share one loaded engine."""

    name: str
    engine: str
    # Either "path", or "package" and "file": the installed package in which the weights lie.
    source: dict[str, str]
    # context_length, slots and the like; an engine's own names
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        return cls(**_known(cls, data))


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. temperature 0 is greedy. `seed` is always set by the gateway,
    but for what is written elsewhere."""

    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    # Token id to what is added to its logit.
    logit_bias: dict[int, float] = field(default_factory=dict)
    max_tokens: int | None = None
    min_tokens: int = 0
    seed: int = 0
    # The answer ends before any of these texts, or with any of these tokens.
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    # How many of the likeliest tokens are told with each token; 0: the chosen one's alone.
    logprobs: int | None = None

    @property
    def penalizes(self) -> bool:
        neutral = (self.repetition_penalty, self.presence_penalty, self.frequency_penalty)
        return neutral != (1.0, 0.0, 0.0)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        bias = known.get("logit_bias") or {}
        known["logit_bias"] = {int(token): float(value) for token, value in bias.items()}
        known["stop"] = tuple(known.get("stop") or ())
        known["stop_token_ids"] = tuple(known.get("stop_token_ids") or ())
        return cls(**known)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that an earlier answer made; `arguments` is JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `tokens` are the ids with which this model once wrote `content`: taken as they are
    where they still spell it, so that what is cached of the conversation matches."""

    role: str
    content: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    # Of a turn of role "tool": which call it answers, and the tool's name.
    tool_call_id: str = ""
    name: str = ""
    tokens: tuple[int, ...] = ()
    # An admin wrote it for everybody: what is computed of it may be shared between users.
    published: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        calls = known.get("tool_calls") or ()
        known["tool_calls"] = tuple(ToolCall(**_known(ToolCall, call)) for call in calls)
        known["tokens"] = tuple(known.get("tokens") or ())
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Shape:
    """What form an answer must have. `kind`: text, json, schema (`value` is the JSON schema as
    text), choice (`value` is a JSON list of texts), regex or grammar (`value` is GBNF)."""

    kind: str = "text"
    value: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A question about tokens in place of an answer: it takes no seat in the batch. `kind`:
    tokenize (the request's prompt or messages) or detokenize (`tokens`)."""

    kind: str
    tokens: tuple[int, ...] = ()
    # With the mark that begins a document, beside what a chat template writes.
    special: bool = False
    # The messages end where an answer begins, or (`continued`) where the last of them does.
    opened: bool = True
    continued: bool = False
    # What each token spells is told, too.
    pieces: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        known["tokens"] = tuple(known.get("tokens") or ())
        return cls(**known)


# A text of which a vector is wanted, or the ids of its tokens.
Input = str | tuple[int, ...]
# Follows a model's name where the questions about its tokens wait.
TASKS = "\x1ftasks"


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that a worker has to know: it reads no database."""

    id: str
    user: str
    model: ModelSpec
    messages: tuple[Message, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    # The user chose to leave out the oldest turns rather than be refused.
    drop_oldest: bool = False
    # Instead of messages: a text that the model goes on with, as it is.
    prompt: str | None = None
    # Instead of both: of what the vectors are wanted, and how long they shall be (0: as they are).
    inputs: tuple[Input, ...] = ()
    dimensions: int = 0
    # Instead of an answer.
    task: Task | None = None
    shape: Shape = field(default_factory=Shape)
    # OpenAI's form: {"type": "function", "function": {"name", "description", "parameters"}}.
    tools: tuple[dict[str, Any], ...] = ()
    # auto, none, required, or the name of the one function that must be called.
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    # What the chat template may be told, such as enable_thinking; the template's allow list rules.
    template_kwargs: dict[str, Any] = field(default_factory=dict)
    # Behind everybody else's: whoever asked has used up what the admin allows.
    late: bool = False

    @property
    def queue(self) -> str:
        """Where it waits: by its model, the questions about tokens apart."""
        return self.model.name + TASKS if self.task else self.model.name

    @property
    def must_call(self) -> bool:
        """Whether the answer has to call a tool."""
        return bool(self.tools) and self.tool_choice not in {"auto", "none"}

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        known["model"] = ModelSpec.from_dict(data["model"])
        known["messages"] = tuple(Message.from_dict(m) for m in data.get("messages", ()))
        known["sampling"] = Sampling.from_dict(data.get("sampling", {}))
        known["shape"] = Shape(**_known(Shape, data.get("shape", {})))
        known["tools"] = tuple(data.get("tools", ()))
        known["inputs"] = tuple(_input(each) for each in data.get("inputs", ()))
        known["task"] = Task.from_dict(data["task"]) if data.get("task") else None
        return cls(**known)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))


def _input(data: Any) -> Input:
    return data if isinstance(data, str) else tuple(data)


@dataclass(frozen=True, slots=True)
class Job:
    """A request as an engine gets it: with the tokens that are logged already (empty at first).

    `attempt` counts who had it since the last token: above 1 an engine may have begun with it.
    `text` and `reasoning` are what readers have of it, for engines whose tokens nobody knows.
    """

    request: Request
    tokens: tuple[int, ...] = ()
    attempt: int = 1
    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class CallDelta:
    """More of the answer's tool call number `index`; the name comes whole, with the first."""

    index: int
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Logprob:
    """A token's natural log probability before any filter, and the likeliest at its place."""

    token: int
    # The bytes as numbers: half a character is no text.
    data: tuple[int, ...]
    logprob: float
    top: tuple[Logprob, ...] = ()

    @classmethod
    def from_list(cls, data: list[Any]) -> Self:
        token, raw, logprob, top = data
        return cls(token, tuple(raw), logprob, tuple(cls.from_list(each) for each in top))

    def to_list(self) -> list[Any]:
        return [self.token, self.data, self.logprob, [each.to_list() for each in self.top]]


@dataclass(frozen=True, slots=True)
class Tokens:
    """New tokens of one sequence: `position` counts all its tokens so far, these included.
    An id that nobody here knows, since the token was written elsewhere, is -1.

    `text`, `reasoning` and `calls` are what became readable: bytes of a character that is not
    complete and the beginning of a possible marker are held back, so all may be empty.
    """

    id: str
    position: int
    tokens: tuple[int, ...]
    text: str = ""
    reasoning: str = ""
    calls: tuple[CallDelta, ...] = ()
    logprobs: tuple[Logprob, ...] = ()

    def joined(self, later: Tokens) -> Tokens:
        """Both as one event."""
        return Tokens(
            self.id,
            later.position,
            self.tokens + later.tokens,
            self.text + later.text,
            self.reasoning + later.reasoning,
            self.calls + later.calls,
            self.logprobs + later.logprobs,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a generation stands before its next token: `loading`, `reading`, `writing`, `waiting`
    (set aside for a while)."""

    id: str
    phase: str
    fraction: float = 0.0


@dataclass(frozen=True, slots=True)
class Vector:
    """The embedding of input number `index`, shape (dimensions,). A log's reader gets the values as
    an array of float32: there may be millions."""

    id: str
    index: int
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Finish:
    """The one last event of a generation. `reason`: stop, length, cancelled or error. `found` is
    what a task asked for."""

    id: str
    reason: str
    text: str = ""
    reasoning: str = ""
    error: dict[str, Any] | None = None
    stats: dict[str, Any] = field(default_factory=dict)
    calls: tuple[CallDelta, ...] = ()
    found: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        known = _known(cls, data)
        known["calls"] = read_calls(known.get("calls") or ())
        return cls(**known)


Event = Tokens | Progress | Vector | Finish


def read_calls(data: Any) -> tuple[CallDelta, ...]:
    return tuple(CallDelta(**_known(CallDelta, call)) for call in data)


def pack(event: Event) -> list[Any]:
    """An event for the pipe. Token events are many and small, so they travel as a bare list."""
    if isinstance(event, Tokens):
        rest = [[asdict(call) for call in event.calls], [p.to_list() for p in event.logprobs]]
        head = ["t", event.id, event.position, event.tokens, event.text, event.reasoning]
        return head + rest if event.calls or event.logprobs else head
    kind = {Progress: "p", Vector: "v", Finish: "f"}[type(event)]
    return [kind, asdict(event)]


def unpack(data: list[Any]) -> Event:
    """The event that was packed."""
    kind = data[0]
    if kind == "t":
        event = Tokens(data[1], data[2], tuple(data[3]), data[4], data[5])
        if len(data) == 6:
            return event
        logprobs = tuple(Logprob.from_list(each) for each in data[7])
        return replace(event, calls=read_calls(data[6]), logprobs=logprobs)
    if kind == "p":
        return Progress(**data[1])
    if kind == "v":
        return Vector(data[1]["id"], data[1]["index"], tuple(data[1]["values"]))
    return Finish.from_dict(data[1])


def _known(cls: Any, data: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that the dataclass has; what is unknown is dropped and never reaches an engine
    (R21)."""
    names = {f.name for f in fields(cls)}
    return {key: value for key, value in data.items() if key in names}
