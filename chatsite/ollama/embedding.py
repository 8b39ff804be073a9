"""The bodies of `/api/embed` and of the older `/api/embeddings`, and their answers."""

from __future__ import annotations

import time
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from chatsite.api.answers import Json, Said
from chatsite.api.embeddings import INPUTS
from chatsite.api.parameters import listed, wrong
from chatsite.ollama.answers import nanoseconds
from chatsite.ollama.loose import USUAL, KeepAlive, Loose, Name, Options


def some(texts: list[str]) -> list[str]:
    """Ollama takes one empty text for none."""
    if texts == [""]:
        return []
    if "" in texts:
        raise wrong("an input cannot be an empty text")
    return texts


Texts = Annotated[
    list[str], BeforeValidator(listed), AfterValidator(some), Field(max_length=INPUTS)
]


class Embedding(Loose):
    """What both have. A text that is too long for the model is refused, never cut."""

    model: Name
    options: Options = USUAL
    keep_alive: KeepAlive = None

    @property
    def inputs(self) -> list[str]:
        raise NotImplementedError

    def asked(self) -> dict[str, Any]:
        """What the gateway's `start` takes."""
        return {"inputs": self.inputs}

    def answer(self, found: Found) -> Json:
        raise NotImplementedError


class Found:
    """The vectors of a request and its figures."""

    def __init__(self, said: Said | None = None) -> None:
        self.vectors = [list(said.vectors[n]) for n in sorted(said.vectors)] if said else []
        self.count = (said.end.stats.get("prompt_tokens") or 0) if said and said.end else 0

    def figures(self, began: float, loading: float) -> Json:
        return {
            "total_duration": nanoseconds(time.monotonic() - began),
            "load_duration": nanoseconds(loading),
            "prompt_eval_count": self.count,
        }


class EmbedBody(Embedding):
    input: Texts = []
    dimensions: int = Field(0, ge=0, le=1 << 16)

    @property
    def inputs(self) -> list[str]:
        return self.input

    def asked(self) -> dict[str, Any]:
        return {**super().asked(), "dimensions": self.dimensions}

    def answer(self, found: Found) -> Json:
        return {"model": self.model, "embeddings": found.vectors}


class OldBody(Embedding):
    prompt: str = ""

    @property
    def inputs(self) -> list[str]:
        return [self.prompt] if self.prompt else []

    def answer(self, found: Found) -> Json:
        return {"embedding": found.vectors[0] if found.vectors else []}
