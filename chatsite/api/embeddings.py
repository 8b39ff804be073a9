"""`POST /v1/embeddings`: its body, and vectors in OpenAI's shape."""

from __future__ import annotations

import json
from array import array
from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from chatsite.api.answers import Said
from chatsite.api.body import Part
from chatsite.api.errors import ApiError
from chatsite.api.parameters import TokenId, wrong
from chatsite.gateway.nouns import Input, Sampling

# OpenAI's limit.
INPUTS = 2048
# Of an input that comes as ids of tokens.
TOKENS = 1 << 20


def inputs(value: Any) -> Any:
    """One text or several, or their tokens' ids: always a list of inputs."""
    if isinstance(value, str) or is_ids(value):
        value = [value]
    if not isinstance(value, list):
        raise wrong("it is a text, a list of texts, token ids, or a list of lists of token ids")
    if not all(isinstance(each, str) for each in value) and not all(map(is_ids, value)):
        raise wrong("its inputs are either all texts or all lists of token ids")
    if "" in value or [] in value:
        raise wrong("an input cannot be empty")
    return [each if isinstance(each, str) else tuple(each) for each in value]


def is_ids(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= TOKENS and all(map(is_id, value))


def is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


class EmbeddingBody(Part):
    """OpenAI's parameters."""

    input: Annotated[
        list[Any],
        BeforeValidator(
            inputs,
            json_schema_input_type=Annotated[str, Field(min_length=1)]
            | Annotated[
                list[Annotated[str, Field(min_length=1)]],
                Field(min_length=1, max_length=INPUTS),
            ]
            | Annotated[list[TokenId], Field(min_length=1)]
            | Annotated[
                list[Annotated[list[TokenId], Field(min_length=1)]],
                Field(min_length=1, max_length=INPUTS),
            ],
        ),
        Field(min_length=1, max_length=INPUTS),
    ]
    model: str = Field(min_length=1, max_length=200)
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(None, ge=1, le=1 << 16)
    # For accounting elsewhere.
    user: str = Field("", max_length=512)

    def sampling(self) -> Sampling:
        """Nothing is drawn."""
        return Sampling()

    def asked(self) -> dict[str, Any]:
        """What the gateway's `start` takes."""
        given: list[Input] = self.input
        return {"inputs": given, "dimensions": self.dimensions or 0}


def gone() -> ApiError:
    """A repeated request whose log is no more; rows keep no vectors."""
    message = (
        "The vectors of this earlier request are not kept any more. Send it with another "
        "Idempotency-Key."
    )
    return ApiError(409, "vectors_gone", message)


def render(said: Said, asked: EmbeddingBody) -> bytes:
    """The body, vector by vector: numbers are written slowly, and others must get their turns."""
    data = ",".join(
        f'{{"object":"embedding","index":{number},"embedding":{written}}}'
        for number in sorted(said.vectors)
        for written in [write(said.vectors[number], asked.encoding_format)]
    )
    assert said.end
    count = said.end.stats.get("prompt_tokens") or 0
    rest = {"model": asked.model, "usage": {"prompt_tokens": count, "total_tokens": count}}
    tail = json.dumps(rest, ensure_ascii=False)[1:]
    return f'{{"object":"list","data":[{data}],{tail}'.encode()


def write(values: Sequence[float], form: str) -> str:
    """One vector as JSON: numbers, or as text the base64 of float32, little-endian."""
    if form == "base64":
        return f'"{b64encode(array("f", values).tobytes()).decode()}"'
    return json.dumps(list(values), separators=(",", ":"))
