"""How tokens are drawn, as callers may ask for it: strict ranges, then the engine room's nouns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from chatsite.api.body import Part
from chatsite.gateway.nouns import Sampling, Shape

# The gateway draws a seed where it finds 0: a caller's 0 becomes a number of its own.
SEED_OF_ZERO = 1 << 62
SEED_BITS = (1 << 63) - 1
TOKENS = 1 << 24
# What the endpoints call the limit of an answer.
LIMITS = {"max_tokens", "max_completion_tokens", "max_output_tokens"}
SCHEMA_CHARS = 64 << 10
SCHEMA_DEPTH = 32


def wrong(message: str, param: str = "") -> PydanticCustomError:
    """`param` names what is wrong where that is not the whole that was looked at."""
    # The braces of a message are not a template's.
    return PydanticCustomError("invalid_value", "{message}", {"message": message, "param": param})


def listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def numbered(value: Any) -> Any:
    """JSON has no numbers as keys: the token ids come as texts."""
    if not isinstance(value, dict):
        return value
    try:
        return {int(token): bias for token, bias in value.items()}
    except ValueError:
        raise wrong("the keys are token ids") from None


Bias = Annotated[float, Field(ge=-100, le=100)]
TokenId = Annotated[int, Field(ge=0, lt=1 << 31)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
StopText = Annotated[str, Field(min_length=1, max_length=256)]
StopTexts = Annotated[list[StopText], Field(max_length=16)]


class Drawing(Part):
    """The parameters that chat and plain completions share, vLLM's among them."""

    temperature: float = Field(1.0, ge=0, le=2)
    top_p: float = Field(1.0, ge=0, le=1)
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    logit_bias: Annotated[
        dict[Annotated[int, Field(ge=-(1 << 62), le=1 << 62)], Bias],
        BeforeValidator(numbered, json_schema_input_type=dict[str, Bias]),
        Field(max_length=1024),
    ] = {}
    max_tokens: int | None = Field(None, ge=1)
    stop: Annotated[
        list[StopText],
        BeforeValidator(listed, json_schema_input_type=StopText | StopTexts),
        Field(max_length=16),
    ] = []
    seed: int | None = Field(None, ge=-(1 << 63), lt=1 << 64)
    n: int = Field(1, ge=1, le=16)
    top_k: int = Field(0, ge=-1, le=1 << 20)
    min_p: float = Field(0.0, ge=0, le=1)
    repetition_penalty: float = Field(1.0, gt=0, le=10)
    min_tokens: int = Field(0, ge=0, le=TOKENS)
    ignore_eos: bool = False
    stop_token_ids: list[TokenId] = Field([], max_length=64)
    # vLLM's clients send these defaults along; another value would be a wish that is not met.
    skip_special_tokens: Literal[True] = True
    spaces_between_special_tokens: Literal[True] = True
    include_stop_str_in_output: Literal[False] = False
    use_beam_search: Literal[False] = False

    @property
    def limit(self) -> int | None:
        """More than any context has room for is as good as no limit."""
        return None if self.max_tokens is None else min(self.max_tokens, TOKENS)

    def sampling(self) -> Sampling:
        """As the caller says it, the rest as OpenAI has it."""
        raise NotImplementedError

    def settled(self, usual: Mapping[str, Any]) -> Sampling:
        """The same, where the admin's choice for a model counts before OpenAI's defaults."""
        said = self.model_fields_set
        limited = {"max_tokens"} if said & LIMITS else set()
        return replace(
            self.sampling(),
            **{name: value for name, value in usual.items() if name not in said | limited},
        )

    def drawn(self, logprobs: int | None) -> Sampling:
        seed = self.seed and self.seed & SEED_BITS
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=max(self.top_k, 0),
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            # No vocabulary has such ids: they have no effect.
            logit_bias={t: b for t, b in self.logit_bias.items() if 0 <= t < 1 << 31},
            max_tokens=self.limit,
            min_tokens=self.min_tokens,
            # 0 tells the gateway to draw one.
            seed=0 if seed is None else seed or SEED_OF_ZERO,
            stop=tuple(self.stop),
            stop_token_ids=tuple(self.stop_token_ids),
            ignore_eos=self.ignore_eos,
            logprobs=logprobs,
        )


class StreamOptions(Part):
    include_usage: bool = False
    # Padding against listeners on the wire, for those who ask: TLS and a LAN do without.
    include_obfuscation: bool = False


def shallow(value: Any, depth: int = SCHEMA_DEPTH) -> bool:
    if depth == 0:
        return False
    inner: list[Any] = []
    if isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, list):
        inner = value
    return all(shallow(each, depth - 1) for each in inner)


def bounded(value: Any) -> Any:
    """A JSON schema of reasonable size; whether it is a good one, the engine room decides."""
    if not shallow(value) or len(json.dumps(value)) > SCHEMA_CHARS:
        raise wrong(f"a schema has at most {SCHEMA_CHARS} characters and {SCHEMA_DEPTH} levels")
    return value


Schema = Annotated[dict[str, Any], BeforeValidator(bounded)]


class NamedSchema(Part):
    name: str = Field("", max_length=64)
    description: str = ""
    strict: bool = False
    definition: Schema = Field(alias="schema")


class ResponseFormat(Part):
    type: str
    json_schema: NamedSchema | None = None

    @model_validator(mode="after")
    def known(self) -> ResponseFormat:
        if self.type not in {"text", "json_object", "json_schema"}:
            raise wrong("it is one of: text, json_object, json_schema", "type")
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise wrong("it is given with type json_schema, and only then", "json_schema")
        return self

    def shape(self) -> Shape:
        if self.json_schema:
            return schema_shape(self.json_schema.definition)
        return Shape("json") if self.type == "json_object" else Shape()


def schema_shape(schema: dict[str, Any]) -> Shape:
    return Shape("schema", json.dumps(schema, ensure_ascii=False))


def read_schema(value: Any) -> Any:
    """guided_json may come as JSON text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise wrong("the text is no JSON") from None


GuidedJson = Annotated[
    Schema, BeforeValidator(read_schema, json_schema_input_type=dict[str, Any] | str)
]
