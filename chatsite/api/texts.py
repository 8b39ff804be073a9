"""`POST /v1/completions`: its body, and plain texts in OpenAI's older shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from chatsite.api import answers
from chatsite.api.answers import Json, Said
from chatsite.api.calls import Piece
from chatsite.api.errors import invalid
from chatsite.api.guides import Guided
from chatsite.api.parameters import StreamOptions, wrong
from chatsite.api.streams import Chunks
from chatsite.gateway.nouns import Logprob, Sampling

# OpenAI's limit where the caller names none.
USUAL_TOKENS = 16


Prompts = Annotated[list[str], Field(min_length=1, max_length=16)]


def prompts(value: Any) -> Any:
    """One text or several. Token ids belong to a vocabulary, which differs from model to model."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and any(isinstance(each, int | list) for each in value):
        raise wrong("prompts are texts here, not token ids")
    return value


class TextBody(Guided):
    """OpenAI's parameters and vLLM's extras."""

    prompt: Annotated[
        list[str],
        BeforeValidator(prompts, json_schema_input_type=str | Prompts),
        Field(min_length=1, max_length=16),
    ]
    model: str = Field(min_length=1, max_length=200)
    stream: bool = False
    stream_options: StreamOptions | None = None
    echo: bool = False
    logprobs: int | None = Field(None, ge=0, le=20)
    best_of: int | None = Field(None, ge=1, le=16)
    suffix: str | None = None
    # For accounting elsewhere.
    user: str = Field("", max_length=512)

    @model_validator(mode="after")
    def agree(self) -> TextBody:
        if self.stream_options is not None and not self.stream:
            raise wrong("it needs 'stream' to be true", "stream_options")
        if self.n * len(self.prompt) > 16:
            raise wrong("times the number of prompts it is 16 at most", "n")
        return self

    @property
    def limit(self) -> int | None:
        return min(self.max_tokens or USUAL_TOKENS, 1 << 24)

    @property
    def usage_wanted(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def sampling(self) -> Sampling:
        return self.drawn(self.logprobs)

    def asked(self) -> list[dict[str, Any]]:
        """What the gateway's `start` takes, for each prompt."""
        if self.suffix:
            raise invalid("This model cannot write what comes before a suffix.", "suffix")
        if self.best_of is not None and self.best_of != self.n:
            raise invalid("'best_of' is the same as 'n' here.", "best_of")
        if self.echo and self.logprobs is not None:
            raise invalid("'logprobs' of an echoed prompt are not known here.", "echo")
        return [{"prompt": prompt, "shape": self.shape()} for prompt in self.prompt]

    def before(self, choice: int) -> str:
        """What an echo begins this choice with."""
        return self.prompt[choice // self.n] if self.echo else ""


def logprobs(found: Sequence[Logprob], begin: int, *, wanted: bool) -> Json | None:
    """`begin`: how many characters of the text came before."""
    if not wanted:
        return None
    tokens = [answers.token(each)["token"] for each in found]
    offsets = [begin]
    for token in tokens[:-1]:
        offsets.append(offsets[-1] + len(token))
    return {
        "tokens": tokens,
        "token_logprobs": [answers.token(each)["logprob"] for each in found],
        "top_logprobs": [
            {told["token"]: told["logprob"] for told in map(answers.token, each.top)}
            for each in found
        ],
        "text_offset": offsets[: len(tokens)],
    }


def choice(number: int, text: str, told: Json | None = None, reason: str | None = None) -> Json:
    return {"text": text, "index": number, "logprobs": told, "finish_reason": reason}


def completion(head: Json, saids: Sequence[Said], asked: TextBody) -> Json:
    wanted = asked.logprobs is not None
    choices = []
    for number, said in enumerate(saids):
        assert said.end
        told = logprobs(said.logprobs, 0, wanted=wanted)
        reason = answers.finish_reason(said.end, called=False)
        # What a model thinks is part of what it wrote.
        text = asked.before(number) + said.reasoning + said.text
        choices.append(choice(number, text, told, reason))
    ends = [said.end for said in saids if said.end]
    return {**head, "choices": choices, "usage": answers.usage(ends, len(asked.prompt))}


def head(call: str, created: int, model: str) -> Json:
    known = {"id": f"cmpl-{call}", "object": "text_completion", "created": created}
    return {**known, "model": model, "system_fingerprint": None}


@dataclass(kw_only=True)
class TextChunks(Chunks):
    asked: TextBody
    # Characters of each choice that were sent.
    sent: dict[int, int] = field(default_factory=dict)

    def of(self, piece: Piece) -> list[bytes]:
        number, out = piece.choice, []
        text = piece.reasoning + piece.text
        if number not in self.sent:
            self.sent[number] = 0
            text = self.asked.before(number) + text
        if text or piece.logprobs:
            wanted = self.asked.logprobs is not None
            told = logprobs(piece.logprobs, self.sent[number], wanted=wanted)
            out.append(self.event(choice(number, text, told)))
        self.sent[number] += len(text)
        if piece.end:
            self.ends.append(piece.end)
            reason = answers.finish_reason(piece.end, called=False)
            out.append(self.event(choice(number, "", None, reason)))
        return out
