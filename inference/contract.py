"""The nouns that cross the boundaries: requests, tokens, events. JSON outside, dataclasses
inside."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
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
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(**_known(cls, data))


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn. temperature 0 is greedy. `seed` is always set by the gateway."""

    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int = 40
    min_p: float = 0.05
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    max_tokens: int | None = None
    seed: int = 0

    @property
    def penalizes(self) -> bool:
        neutral = (self.repetition_penalty, self.presence_penalty, self.frequency_penalty)
        return neutral != (1.0, 0.0, 0.0)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(**_known(cls, data))


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """Everything that a worker has to know: it reads no database."""

    id: str
    user: str
    model: ModelSpec
    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    # The user chose to leave out the oldest turns rather than be refused.
    drop_oldest: bool = False

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        return cls.from_dict(json.loads(text))

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(
            id=data["id"],
            user=data["user"],
            model=ModelSpec.from_dict(data["model"]),
            messages=tuple(Message(m["role"], m["content"]) for m in data["messages"]),
            sampling=Sampling.from_dict(data["sampling"]),
            drop_oldest=bool(data.get("drop_oldest", False)),
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Job:
    """A request as an engine gets it: with the tokens that are logged already (empty at first)."""

    request: Request
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Tokens:
    """New tokens of one sequence: `position` counts all its tokens so far, these included.

    `text` and `reasoning` are what became readable: bytes of a character that is not complete and
    the beginning of a possible marker are held back, so either may be empty.
    """

    id: str
    position: int
    tokens: tuple[int, ...]
    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a generation stands before its next token: `loading`, `reading`, `writing`."""

    id: str
    phase: str
    fraction: float = 0.0


@dataclass(frozen=True, slots=True)
class Finish:
    """The one last event of a generation. `reason`: stop, length, cancelled or error."""

    id: str
    reason: str
    text: str = ""
    reasoning: str = ""
    error: dict[str, Any] | None = None
    stats: dict[str, Any] = field(default_factory=dict)


Event = Tokens | Progress | Finish


def _known(cls: Any, data: dict[str, Any]) -> dict[str, Any]:
    """The keys that the dataclass has; what is unknown is dropped and never reaches an engine
    (R21)."""
    names = {f.name for f in fields(cls)}
    return {key: value for key, value in data.items() if key in names}
