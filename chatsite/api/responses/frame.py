"""The response object in OpenAI's shape: what was asked, what came, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chatsite.api import errors
from chatsite.api.models import Stored
from chatsite.api.responses.body import SEALED
from chatsite.gateway.models import Generation

Json = dict[str, Any]
# What the caller calls the parameters that an engine may refuse.
NAMES = {"messages": "input", "response_format": "text.format"}


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands in a response from its beginning on. `id` is its generation's, as hex."""

    id: str
    created: int
    asked: Mapping[str, Any]
    # Whether log probabilities are told with each delta, reasoning in its sealed form.
    with_logprobs: bool = False
    with_seal: bool = False

    @property
    def background(self) -> bool:
        return bool(self.asked["background"])

    def response(
        self, status: str, output: Sequence[Json] = (), outcome: Mapping[str, Any] | None = None
    ) -> Json:
        return {
            "id": f"resp_{self.id}",
            "object": "response",
            "created_at": self.created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "output": list(output),
            "usage": None,
            **self.asked,
            **(outcome or {}),
        }


def framed(row: Generation, asked: Mapping[str, Any], include: Sequence[str]) -> Frame:
    return Frame(
        id=row.pk.hex,
        created=int(row.created.timestamp()),
        asked=asked,
        with_logprobs=row.logprobs is not None,
        with_seal=SEALED in include,
    )


def of_stored(stored: Stored, include: Sequence[str] = ()) -> Frame:
    """The frame of a stored response; `include` is asked beyond what it was made with."""
    asked = dict(stored.asked)
    made_with = asked.pop("include", [])
    return framed(stored.generation, asked, [*made_with, *include])


@dataclass(frozen=True, slots=True)
class Ending:
    """How a generation ended, from its log or from its row."""

    reason: str
    error: Json | None
    stats: Mapping[str, Any]
    reasoning_tokens: int

    @property
    def status(self) -> str:
        names = {"stop": "completed", "length": "incomplete", "cancelled": "cancelled"}
        return names.get(self.reason, "failed")

    def outcome(self) -> Json:
        """What the response tells of it."""
        told: Json = {"usage": self.usage()}
        if self.reason == "length":
            told["incomplete_details"] = {"reason": "max_output_tokens"}
        if self.error is not None:
            told["error"] = self._error()
        return told

    def usage(self) -> Json | None:
        read = self.stats.get("prompt_tokens")
        if read is None:
            return None
        written = self.stats.get("completion_tokens") or 0
        cached = self.stats.get("cached_tokens") or 0
        return {
            "input_tokens": read,
            "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
            "output_tokens": written,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": read + written,
        }

    def _error(self) -> Json:
        found = errors.from_engine(self.error or {}, NAMES)
        code = "invalid_prompt" if found.status < 500 else "server_error"
        return {"code": code, "message": found.message}
