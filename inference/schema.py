"""The wanted form of an answer as a grammar that llama.cpp reads (GBNF). What a grammar cannot say
(uniqueItems, bounds of fractions, not) is left to the model; nothing here is ever fetched."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from inference.contract import Shape
from inference.pattern import PatternError, literal, to_rule, to_text_rule

# Nested deeper than this is an attack, not a form.
DEPTH = 64
# What the grammar's own counters take. A longest length above it is as good as none.
REPEAT = 1000
# Calls in one answer, where there may be several.
CALLS = 16
# Whole numbers that are spelled one by one.
SPELLED = 256
# What an answer begins with, and the rules that this names.
Rooted = tuple[str, dict[str, str]]

BASE = {
    "ws": r'"" | " " | "\n" [ \t]{0,20}',
    "hex": "[0-9a-fA-F]",
    "escape": r'["\\/bfnrt] | "u" ([0-9a-cA-CeEfF] hex hex hex | [dD] [0-7] hex hex'
    r' | [dD] [89abAB] hex hex "\\u" [dD] [c-fC-F] hex hex)',
    "char": r'[^"\\\x00-\x1F\x7F] | "\\" escape',
    "string": r'"\"" char* "\""',
    "integer": '"-"? ("0" | [1-9] [0-9]{0,15})',
    "number": 'integer ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,3})?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "pair": 'string ":" ws value',
    "object": '"{" ws (pair ("," ws pair)* ws)? "}"',
    "array": '"[" ws (value ("," ws value)* ws)? "]"',
    "value": "object | array | string | number | boolean | null",
}
DATE = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
FORMATS = {
    "date": f"^{DATE}$",
    "time": f"^{TIME}$",
    "date-time": f"^{DATE}T{TIME}$",
    "uuid": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
}
# A key that only one type has names the type where the schema does not.
HINTS = {
    "properties": "object",
    "additionalProperties": "object",
    "required": "object",
    "items": "array",
    "prefixItems": "array",
    "pattern": "string",
    "minLength": "string",
    "maxLength": "string",
    "format": "string",
    "minimum": "number",
    "maximum": "number",
}
NOTES = {"title", "description", "default", "examples", "$defs", "definitions", "$schema", "$id"}


class SchemaError(Exception):
    """This is no schema, or one that asks for what no answer can be. The text is ours."""

    kind = "bad_schema"


class ExpressionError(SchemaError):
    """This is no regular expression, or one that no grammar can say."""

    kind = "bad_grammar"


def to_gbnf(shape: Shape) -> str:
    """The grammar of a shape that has one; SchemaError where the schema is none."""
    if shape.kind == "grammar":
        return shape.value
    if shape.kind == "json":
        return _text("object", BASE)
    if shape.kind in {"choice", "regex"}:
        return _text(_words(shape), {})
    try:
        root, rules = ROOTS[shape.kind](json.loads(shape.value))
        return _text(root, BASE | rules)
    except PatternError as error:
        raise SchemaError(str(error)) from None
    except RecursionError:
        raise SchemaError("The schema is nested too deeply.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SchemaError("This is not a JSON schema.") from error


def _words(shape: Shape) -> str:
    """A rule for what is no JSON."""
    if shape.kind == "choice":
        return _either([literal(each) for each in json.loads(shape.value)])
    try:
        return to_text_rule(shape.value)
    except (PatternError, RecursionError) as error:
        raise ExpressionError(str(error)) from None


def _plain_root(schema: Any) -> Rooted:
    converter = Converter(schema)
    return converter.root(), converter.rules


def _call_root(form: Any) -> Rooted:
    schema = form["schema"]
    converter = Converter(json.loads(schema) if isinstance(schema, str) else schema, "call")
    root = converter.root(form["prefix"], form["suffix"], form.get("separator"))
    return root, converter.rules


def _either_root(form: Any) -> Rooted:
    """A call, or an answer in its own form."""
    call, rules = _call_root(form["call"])
    if form["answer"] is None:
        return f"{call} | object", rules
    answer, others = _plain_root(json.loads(form["answer"]))
    return f"{call} | {answer}", rules | others


ROOTS: dict[str, Callable[[Any], Rooted]] = {
    "schema": _plain_root,
    "call": _call_root,
    "either": _either_root,
}


class Converter:
    """One schema on its way to rules; equal rules are one, so that the grammar stays small. The
    names of its rules begin with `mark`."""

    def __init__(self, schema: Any, mark: str = "") -> None:
        self._schema, self._mark = schema, mark
        self.rules: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._refs: dict[str, str] = {}

    def root(self, prefix: str = "", suffix: str = "", separator: str | None = None) -> str:
        """The schema's value between two texts; with a separator also several of these."""
        parts = [literal(prefix), self._visit(self._schema, 0), literal(suffix)]
        root = " ".join(part for part in parts if part != '""')
        if separator is not None:
            root += f" ({literal(separator)} {root}){{0,{CALLS - 1}}}"
        return root

    def _visit(self, schema: Any, depth: int) -> str:
        """The name of the rule for a schema."""
        if depth > DEPTH:
            raise SchemaError("The schema is nested too deeply.")
        if schema is True:
            return "value"
        if not isinstance(schema, dict):
            raise SchemaError("A part of the schema is no schema.")
        if "$ref" in schema:
            return self._refer(schema["$ref"], depth)
        if "const" in schema or "enum" in schema:
            values = [schema["const"]] if "const" in schema else schema["enum"]
            return self._add(_either([_json(each) for each in values]))
        return self._joined(schema, depth)

    def _joined(self, schema: dict[str, Any], depth: int) -> str:
        """A schema that is made of others, or a plain one."""
        for key in ("anyOf", "oneOf", "allOf"):
            if key not in schema:
                continue
            rest = {k: v for k, v in schema.items() if k != key}
            if key == "allOf":
                return self._visit(self._merge([rest, *schema[key]]), depth + 1)
            return self._any([self._merge([rest, each]) for each in schema[key]], depth)
        return self._typed(schema, depth)

    def _any(self, schemas: list[Any], depth: int) -> str:
        return self._add(_either([self._visit(each, depth + 1) for each in schemas]))

    def _typed(self, schema: dict[str, Any], depth: int) -> str:
        kind = schema.get("type") or next((HINTS[k] for k in schema if k in HINTS), "value")
        if isinstance(kind, list):
            return self._any([schema | {"type": each} for each in kind], depth)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        if kind == "string":
            return self._string(schema)
        if kind == "integer":
            return self._whole(schema)
        if kind not in {"number", "boolean", "null", "value"}:
            raise SchemaError("The schema names a type that JSON does not have.")
        return str(kind)

    def _object(self, schema: dict[str, Any], depth: int) -> str:
        """The properties in their order; those that may be left out are left out with the comma
        before them."""
        properties = schema.get("properties", {})
        needed = schema.get("required", [])
        # Where the schema says nothing of others, a model does best without them.
        others = schema.get("additionalProperties", not properties)
        names = [*properties, *(name for name in needed if name not in properties)]
        pairs = [
            (
                self._add(f'{_json(n)} ":" ws {self._visit(properties.get(n, True), depth + 1)}'),
                n in needed,
            )
            for n in names
        ]
        rest = ""
        if others is not False:
            rest = self._add(f'string ":" ws {self._visit(others, depth + 1)}')
        return self._add(f'"{{" ws {self._members(pairs, rest)} "}}"')

    def _members(self, pairs: list[tuple[str, bool]], rest: str) -> str:
        """A rule for what stands between the braces, made from the last pair to the first: `after`
        where another stands before it, `first` where none does."""
        after = self._add(f'("," ws {rest})* ws') if rest else "ws"
        first = self._add(f"({rest} {after})?") if rest else self._add('""')
        for pair, needed in reversed(pairs):
            alone = f"{pair} {after}"
            first = self._add(alone if needed else f"{alone} | {first}")
            more = f'"," ws {pair}'
            after = self._add(f"{more} {after}" if needed else f"({more})? {after}")
        return first

    def _array(self, schema: dict[str, Any], depth: int) -> str:
        head = [self._visit(each, depth + 1) for each in schema.get("prefixItems", ())]
        least = max(_length(schema, "minItems") or 0, len(head))
        most = _length(schema, "maxItems")
        items = schema.get("items", not head)
        if isinstance(items, list):
            return self._array({"prefixItems": items}, depth)
        start = ' "," ws '.join(head)
        if items is False or (most is not None and most <= len(head)):
            return self._add(f'"[" ws {start} ws "]"')
        item = self._visit(items, depth + 1)
        follow = f'("," ws {item})'
        if head:
            count = _count(least - len(head), None if most is None else most - len(head))
            return self._add(f'"[" ws {start} {follow}{count} ws "]"')
        count = _count(max(least - 1, 0), None if most is None else most - 1)
        body = f"{item} {follow}{count} ws"
        return self._add(f'"[" ws {body} "]"' if least else f'"[" ws ({body})? "]"')

    def _string(self, schema: dict[str, Any]) -> str:
        pattern = schema.get("pattern") or FORMATS.get(schema.get("format", ""))
        if pattern:
            return self._add(f'"\\"" ({to_rule(pattern, "char")}) "\\""')
        least, most = _length(schema, "minLength"), _length(schema, "maxLength")
        if least is None and most is None:
            return "string"
        return self._add(f'"\\"" char{_count(least or 0, most)} "\\""')

    def _whole(self, schema: dict[str, Any]) -> str:
        low, high = schema.get("minimum"), schema.get("maximum")
        if isinstance(low, int) and isinstance(high, int) and 0 <= high - low <= SPELLED:
            return self._add(_either([literal(str(n)) for n in range(low, high + 1)]))
        if isinstance(low, int) and low >= 0:
            zero = '"0" | ' if low == 0 else ""
            return self._add(f"{zero}[1-9] [0-9]{{0,15}}")
        return "integer"

    def _refer(self, ref: Any, depth: int) -> str:
        """A rule is named before it is made, so that a schema may contain itself."""
        target = self._target(ref)
        if ref not in self._refs:
            name = self._refs[ref] = f"{self._mark}ref{len(self._refs)}"
            self.rules[name] = self._visit(target, depth + 1)
        return self._refs[ref]

    def _target(self, ref: Any) -> Any:
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise SchemaError("A $ref must stay inside the schema.")
        found = self._schema
        for part in unquote(ref[1:]).split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            found = found[int(key)] if isinstance(found, list) else found[key]
        return found

    def _merge(self, schemas: list[Any]) -> Any:
        """One schema that asks for what all ask: their properties together, else the last word."""
        asked = [each for each in map(_plain, schemas) if each not in ({}, True)]
        if len(asked) < 2:
            # Not followed where nothing is added: it may contain itself.
            return asked[0] if asked else True
        merged: dict[str, Any] = {}
        for each in asked:
            schema = self._followed(each)
            properties = merged.get("properties", {}) | schema.get("properties", {})
            required = [*merged.get("required", []), *schema.get("required", [])]
            merged |= schema
            if properties:
                merged["properties"] = properties
            if required:
                merged["required"] = required
        return merged

    def _followed(self, schema: Any) -> Any:
        for _ in range(DEPTH):
            if not isinstance(schema, dict):
                raise SchemaError("A part of the schema is no schema.")
            if "$ref" not in schema:
                return _plain(schema)
            schema = self._target(schema["$ref"])
        raise SchemaError("A $ref leads to itself.")

    def _add(self, body: str) -> str:
        if body not in self._names:
            name = self._names[body] = f"{self._mark}r{len(self._names)}"
            self.rules[name] = body
        return self._names[body]


def _plain(schema: Any) -> Any:
    """A schema without what only describes it."""
    if not isinstance(schema, dict):
        return schema
    return {key: value for key, value in schema.items() if key not in NOTES}


def _text(root: str, rules: dict[str, str]) -> str:
    lines = [f"root ::= {root}", *(f"{name} ::= {body}" for name, body in rules.items())]
    return "\n".join(lines) + "\n"


def _json(value: Any) -> str:
    return literal(json.dumps(value, ensure_ascii=False))


def _either(bodies: list[str]) -> str:
    if not bodies:
        raise SchemaError("The schema leaves nothing to choose from.")
    return " | ".join(dict.fromkeys(bodies))


def _length(schema: dict[str, Any], key: str) -> int | None:
    value = schema.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise SchemaError("A length in the schema is no natural number.")
    return value


def _count(least: int, most: int | None) -> str:
    """How often, in the grammar's words."""
    if least > REPEAT:
        raise SchemaError("The schema asks for more than an answer can hold.")
    if most is not None and most < least:
        raise SchemaError("The schema asks for at least more than at most.")
    return f"{{{least},}}" if most is None or most > REPEAT else f"{{{least},{most}}}"
