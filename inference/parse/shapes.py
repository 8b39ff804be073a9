"""Tools as JSON schemas: the form of an answer that has to call one, and the types of their
parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from inference.contract import Shape
from inference.parse.calls import ARGS, CALL, CALLS, END_CALL, END_CALLS, SEP, TOOL_CALLS

EMPTY: dict[str, Any] = {"type": "object", "properties": {}}


def call_shape(
    family: str, tools: Sequence[Mapping[str, Any]], tool_choice: str, parallel: bool
) -> Shape | None:
    """`prefix`, a JSON value by `schema`, `suffix`; where more calls may follow, `separator` stands
    between two of these."""
    functions = [tool["function"] for tool in tools]
    if tool_choice != "required":
        functions = [each for each in functions if each["name"] == tool_choice]
    if not functions or tool_choice in {"auto", "none"}:
        return None
    form = _form(family, functions, parallel and tool_choice == "required")
    return Shape("call", json.dumps(form, ensure_ascii=False)) if form else None


def either(call: Shape, answer: Shape) -> Shape:
    """A call or an answer, each in its own form; `answer` is JSON, with or without a schema."""
    form = {"call": json.loads(call.value), "answer": answer.value or None}
    return Shape("either", json.dumps(form, ensure_ascii=False))


def types_of(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The schemas of each function's parameters."""
    found: dict[str, Mapping[str, Any]] = {}
    for tool in tools:
        function = tool["function"]
        properties = (function.get("parameters") or {}).get("properties")
        found[function["name"]] = properties if isinstance(properties, dict) else {}
    return found


def _form(family: str, functions: list[Mapping[str, Any]], parallel: bool) -> dict[str, Any] | None:
    if family in {"hermes", "qwen-coder", "glm"}:
        # The last two write no JSON by themselves, but it is read from them just the same.
        more = {"separator": "\n"} if parallel else {}
        form = _object(functions, "arguments", "")
        return {"prefix": "<tool_call>\n", "schema": form, "suffix": "\n</tool_call>", **more}
    if family == "llama":
        return {"prefix": "", "schema": _object(functions, "parameters", ""), "suffix": ""}
    if len(functions) == 1 and (around := _around(family, functions[0]["name"])):
        return {"prefix": around[0], "schema": _parameters(functions[0], ""), "suffix": around[1]}
    if family.startswith("mistral"):
        most = {} if parallel else {"maxItems": 1}
        items = _object(functions, "arguments", "/items")
        form = {"type": "array", "items": items, "minItems": 1, **most}
        return {"prefix": TOOL_CALLS, "schema": form, "suffix": ""}
    return None


def _around(family: str, name: str) -> tuple[str, str] | None:
    """What stands before and after the arguments in families that write the name outside the JSON:
    there, a choice between several cannot be forced."""
    return {
        "mistral-args": (f"{TOOL_CALLS}{name}{ARGS}", ""),
        "deepseek": (f"{CALLS}{CALL}{name}{SEP}", f"{END_CALL}{END_CALLS}"),
        "deepseek-r1": (
            f"{CALLS}{CALL}function{SEP}{name}\n```json\n",
            f"\n```{END_CALL}{END_CALLS}",
        ),
        "harmony": (f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>", ""),
    }.get(family)


def _object(functions: list[Mapping[str, Any]], key: str, at: str) -> dict[str, Any]:
    """A call as an object, whichever function it calls; `at` is where it stands in the schema."""
    if len(functions) > 1:
        each = enumerate(functions)
        return {"anyOf": [_object([one], key, f"{at}/anyOf/{n}") for n, one in each]}
    function = functions[0]
    return {
        "type": "object",
        "properties": {
            "name": {"const": function["name"]},
            key: _parameters(function, f"{at}/properties/{key}"),
        },
        "required": ["name", key],
        "additionalProperties": False,
    }


def _parameters(function: Mapping[str, Any], at: str) -> Any:
    """A function's schema; its references lead to where it stands now."""
    return _moved(function.get("parameters") or EMPTY, at)


def _moved(schema: Any, at: str) -> Any:
    if isinstance(schema, list):
        return [_moved(each, at) for each in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {key: _moved(value, at) for key, value in schema.items()}
    if isinstance(ref := moved.get("$ref"), str) and ref.startswith("#"):
        moved["$ref"] = f"#{at}{ref[1:]}"
    return moved
