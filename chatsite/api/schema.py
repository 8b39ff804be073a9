"""The OpenAPI schema of `/v1`: made of the views' bodies and the list of addresses, so that it says
what they do. It describes and serves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

from django.utils import translation
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chatsite.api import shapes, words
from chatsite.api.operations import Told, told

Json = dict[str, Any]
REF = "#/components/schemas/"
MEDIA = "application/json"
Mode = Literal["validation", "serialization"]
ABOUT = (
    "OpenAI's API, answered by the models of this site. Null means absent. Every error has the "
    "same shape; programs go by its status and its code."
)


def build(address: str) -> Json:
    """The whole document, in English; `address` is this site's, without a slash at its end."""
    with translation.override("en"):
        return {
            "openapi": "3.1.0",
            "info": {"title": "Chatsite", "version": "1", "description": ABOUT},
            "servers": [{"url": address}],
            "security": [{"key": []}, {"header": []}],
            "paths": paths(),
            "components": {
                "securitySchemes": {
                    "key": {"type": "http", "scheme": "bearer"},
                    "header": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
                },
                "responses": {"Error": described("An error", shapes.Error)},
                "schemas": {
                    name: with_words(name, definition) for name, definition in definitions().items()
                },
            },
        }


def paths() -> Json:
    found: dict[str, Json] = {}
    for each in told():
        found.setdefault(each.path, {})[each.method] = operation(each)
    return found


def operation(each: Told) -> Json:
    answer = described("What was asked for", each.operation.answer)
    if each.operation.streams:
        answer["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    made: Json = {
        "operationId": each.id,
        "summary": str(each.operation.title),
        "description": str(each.operation.about),
        "parameters": [*path_parameters(each.path), *query_parameters(each.operation.query)],
        "responses": {"200": answer, "default": {"$ref": "#/components/responses/Error"}},
    }
    if each.body:
        media = {**content(each.body)[MEDIA], "example": each.sent("MODEL")}
        made["requestBody"] = {"required": True, "content": {MEDIA: media}}
    return made


def path_parameters(path: str) -> list[Json]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in names
    ]


def query_parameters(query: type[BaseModel] | None) -> list[Json]:
    if query is None:
        return []
    schema = with_words(query.__name__, query.model_json_schema())
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": value}
        for name, value in schema.get("properties", {}).items()
    ]


def described(about: str, model: type[BaseModel]) -> Json:
    return {"description": about, "content": content(model)}


def content(model: type[BaseModel]) -> Json:
    return {MEDIA: {"schema": {"$ref": REF + name_of(model)}}}


def name_of(model: type[BaseModel]) -> str:
    """What the schema calls it: two models may have the same name."""
    return modelled()[0][model]


def definitions() -> Json:
    """Every body and answer, and what they are made of, by its name."""
    return modelled()[1]


@cache
def modelled() -> tuple[dict[type[BaseModel], str], Json]:
    wanted: dict[type[BaseModel], Mode] = {shapes.Error: "serialization"}
    for each in told():
        wanted[each.operation.answer] = "serialization"
        if each.body:
            wanted[each.body] = "validation"
    refs, made = models_json_schema(list(wanted.items()), ref_template=REF + "{model}")
    found: Json = made["$defs"]
    for definition in found.values():
        for part in inside(definition):
            part.pop("title", None)
            bound(part)
    names = {model: refs[model, mode]["$ref"].removeprefix(REF) for model, mode in wanted.items()}
    return names, found


def inside(definition: Json) -> Iterator[Json]:
    """A schema and the schemas of its properties."""
    yield definition
    yield from definition.get("properties", {}).values()


def bound(part: Json) -> None:
    """Put the bounds of what a validator reads where they belong: pydantic writes them beside what
    comes in, as if that were the list that is made of it."""
    if "anyOf" in part:
        for name in ("minLength", "maxLength", "minItems", "maxItems"):
            part.pop(name, None)
    elif part.get("type") == "object" and "maxLength" in part:
        part["maxProperties"] = part.pop("maxLength")


def with_words(name: str, definition: Json) -> Json:
    """The same, with a line about each property that is known by name."""
    properties = {
        key: {**value, "description": about} if (about := words.about(name, key)) else value
        for key, value in definition.get("properties", {}).items()
    }
    # Docstrings are for those who read the code.
    rest = {key: value for key, value in definition.items() if key != "description"}
    return {**rest, "properties": properties} if properties else rest
