"""Requests to a provider of the tests, and what its engine makes of its answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from inference.contract import (
    CallDelta,
    Event,
    Finish,
    Message,
    ModelSpec,
    Request,
    Sampling,
    Tokens,
    Vector,
)
from inference.remote.permit import Permit, seal
from tests.upstream import Upstream

SECRET = "the site's secret"
KEY = "sk-very-secret-1"
WORDS = " ".join(f"word{n}" for n in range(8))
# What the site sends where nobody set anything.
PLAIN = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0}


def spec_of(upstream: Upstream, model: str, key: str = KEY, **settings: Any) -> ModelSpec:
    permit = seal(Permit(upstream.base_url, inside=True, key=key), SECRET)
    return ModelSpec(f"far-{model}", "remote", {"permit": permit, "model": model}, settings)


def request(spec: ModelSpec, text: str = WORDS, **fields: Any) -> Request:
    sampling = fields.pop("sampling", Sampling.from_dict(PLAIN))
    messages = fields.pop("messages", (Message("user", text),))
    return Request("a", "bob", spec, messages, sampling, **fields)


@dataclass(slots=True)
class Answer:
    """All events of one job, added up."""

    end: Finish | None = None
    text: str = ""
    reasoning: str = ""
    calls: list[CallDelta] = field(default_factory=list)
    tokens: list[Tokens] = field(default_factory=list)
    vectors: list[Vector] = field(default_factory=list)

    def take(self, event: Event) -> None:
        if isinstance(event, Tokens):
            self.tokens.append(event)
            self.text += event.text
            self.reasoning += event.reasoning
            self.calls += event.calls
        elif isinstance(event, Vector):
            self.vectors.append(event)
        elif isinstance(event, Finish):
            assert self.end is None, "two ends"
            self.end = event

    @property
    def error(self) -> dict[str, Any]:
        assert self.end
        assert self.end.reason == "error", self.end
        return self.end.error or {}
