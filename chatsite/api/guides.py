"""vLLM's ways to say what form an answer must have: `guided_json` and its like. OpenAI's own way
stands with the other parameters."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, model_validator

from chatsite.api.body import Part
from chatsite.api.parameters import Drawing, GuidedJson, schema_shape, wrong
from chatsite.gateway.nouns import Shape

Choices = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=1024)]], Field(min_length=1, max_length=256)
]
Pattern = Annotated[str, Field(min_length=1, max_length=4096)]
Grammar = Annotated[str, Field(min_length=1, max_length=60_000)]


class Structured(Part):
    """The newer name for the same."""

    # Its own name would hide a method of pydantic's.
    form: GuidedJson | None = Field(None, alias="json")
    regex: Pattern | None = None
    choice: Choices | None = None
    grammar: Grammar | None = None
    json_object: bool = False


class Guided(Drawing):
    """The parameters of drawing, and what form is to come out."""

    guided_json: GuidedJson | None = None
    guided_regex: Pattern | None = None
    guided_choice: Choices | None = None
    guided_grammar: Grammar | None = None
    structured_outputs: Structured | None = None
    # Which of vLLM's programs is to see to it; here there is one.
    guided_decoding_backend: str = Field("", max_length=64)

    @model_validator(mode="after")
    def one_form(self) -> Guided:
        if len(self.forms) > 1:
            raise wrong("an answer has one form only", self.forms[1][0])
        return self

    @property
    def forms(self) -> list[tuple[str, Shape]]:
        """What was asked for, by the name of its parameter."""
        newer = self.structured_outputs or Structured.model_validate({})
        asked: list[tuple[str, str, Any]] = [
            ("guided_json", "schema", self.guided_json),
            ("guided_regex", "regex", self.guided_regex),
            ("guided_choice", "choice", self.guided_choice),
            ("guided_grammar", "grammar", self.guided_grammar),
            ("structured_outputs", "schema", newer.form),
            ("structured_outputs", "regex", newer.regex),
            ("structured_outputs", "choice", newer.choice),
            ("structured_outputs", "grammar", newer.grammar),
            ("structured_outputs", "json", newer.json_object or None),
        ]
        return [(name, shaped(kind, value)) for name, kind, value in asked if value is not None]

    def shape(self) -> Shape:
        return self.forms[0][1] if self.forms else Shape()


def shaped(kind: str, value: Any) -> Shape:
    if kind == "schema":
        return schema_shape(value)
    if kind == "choice":
        return Shape(kind, json.dumps(value, ensure_ascii=False))
    return Shape(kind, value if isinstance(value, str) else "")
