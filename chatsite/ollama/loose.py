"""The objects of a request in Ollama's dialect: what is unknown is overlooked, what is known is
checked."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from chatsite.api.body import Part
from chatsite.api.parameters import (
    SEED_BITS,
    SEED_OF_ZERO,
    TOKENS,
    StopText,
    bounded,
    listed,
    wrong,
)
from chatsite.gateway.nouns import Sampling, Shape

LEVELS = {"low", "medium", "high", "max"}
NOTHING = re.compile(r"[+-]?0*(\.0*)?([nuµm]?s|m|h)?")


class Loose(Part):
    model_config = ConfigDict(extra="ignore")


def whole(value: Any) -> Any:
    """Some languages know one kind of number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def without_blanks(value: Any) -> Any:
    texts = listed(value)
    return [text for text in texts if text != ""] if isinstance(texts, list) else texts


def formed(value: Any) -> Any:
    if value in ("", "json"):
        return value
    if not isinstance(value, dict):
        raise wrong('it is "json" or a JSON schema')
    return bounded(value)


def thought(value: Any) -> Any:
    if not isinstance(value, bool) and not (isinstance(value, str) and value in LEVELS):
        raise wrong("it is true, false, low, medium, high or max")
    return value


def lasting(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise wrong("it is a duration such as 5m, or a number of seconds")
    return value


def unseen(value: list[Any]) -> list[Any]:
    if value:
        raise wrong("this model reads text only, no images")
    return value


Whole = Annotated[int, BeforeValidator(whole)]
Penalty = Annotated[float, Field(ge=-10, le=10)]
Format = Annotated[Any, AfterValidator(formed)]
Think = Annotated[Any, AfterValidator(thought)]
Images = Annotated[list[Any], AfterValidator(unseen)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
KeepAlive = Annotated[Any, AfterValidator(lasting)]


class Options(Loose):
    """How tokens are drawn. Those of the engine itself (num_ctx and its like) are the admin's here
    and have no effect. The penalty of repetitions reaches the whole conversation, not the last 64
    tokens as Ollama's does, so none is given unasked."""

    temperature: float = Field(0.8, ge=0, le=100)
    top_k: Whole = Field(40, ge=-1, le=1 << 20)
    top_p: float = Field(0.9, ge=0, le=1)
    min_p: float = Field(0.0, ge=0, le=1)
    typical_p: float = Field(1.0, gt=0, le=1)
    repeat_penalty: float = Field(1.0, gt=0, le=10)
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    # Below 1: to the end of the context.
    num_predict: Whole = Field(-1, ge=-2)
    seed: Whole = -1
    stop: Annotated[list[StopText], BeforeValidator(without_blanks), Field(max_length=16)] = []

    @property
    def limit(self) -> int | None:
        return min(self.num_predict, TOKENS) if self.num_predict > 0 else None

    def sampling(self, logprobs: int | None = None) -> Sampling:
        return Sampling(
            temperature=self.temperature,
            top_k=max(self.top_k, 0),
            top_p=self.top_p,
            min_p=self.min_p,
            typical_p=self.typical_p,
            repetition_penalty=self.repeat_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            max_tokens=self.limit,
            # 0 tells the gateway to draw one.
            seed=0 if self.seed < 0 else self.seed & SEED_BITS or SEED_OF_ZERO,
            stop=tuple(self.stop),
            logprobs=logprobs,
        )


USUAL = Options.model_validate({})


def shape(wanted: Any) -> Shape:
    if isinstance(wanted, dict):
        return Shape("schema", json.dumps(wanted, ensure_ascii=False))
    return Shape("json") if wanted == "json" else Shape()


def template_kwargs(think: Any) -> dict[str, Any]:
    """What the chat template is told: models name it differently."""
    if think is None:
        return {}
    told = {"enable_thinking": bool(think), "thinking": bool(think)}
    return told | {"reasoning_effort": think} if isinstance(think, str) else told


def lets_go(keep_alive: Any) -> bool:
    """Whether the caller wants the model out of memory: no time at all."""
    if isinstance(keep_alive, str):
        return bool(keep_alive) and NOTHING.fullmatch(keep_alive) is not None
    return keep_alive is not None and keep_alive == 0
