"""The reference for people: what the schema says of each operation, as rows of a page, in the
reader's language."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from chatsite.api import provider_errors, schema, words
from chatsite.api.operations import Told, told
from chatsite.api.samples import Sample, samples
from chatsite.api.schema import REF, Json

# Bounds beyond this are those of the machine and tell a reader nothing.
TELLING = 1 << 30


@dataclass(frozen=True, slots=True)
class Row:
    """One parameter. `kinds` are its types, those that are objects of this page with their name."""

    name: str
    kinds: list[str]
    about: str
    required: bool
    default: str
    limits: str


@dataclass(frozen=True, slots=True)
class Table:
    """The parameters of a body, or of an object in it."""

    name: str
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Section:
    told: Told
    parameters: list[Row]
    objects: list[Table]
    samples: list[Sample]


@dataclass(frozen=True, slots=True)
class Failure:
    """A status with the codes that come with it."""

    status: int
    codes: Sequence[str]
    about: str | Promise


def sections(base: str, models: Mapping[str, str]) -> list[Section]:
    return [section(each, base, models) for each in told()]


def section(each: Told, base: str, models: Mapping[str, str]) -> Section:
    own = rows(*body_of(each)) if each.body else []
    asked = [
        row(part["name"], part["schema"], part["schema"].get("description", ""), part["required"])
        for part in schema.query_parameters(each.operation.query)
    ]
    return Section(each, [*own, *asked], objects(each), samples(each, base, models))


def body_of(each: Told) -> tuple[str, Json]:
    assert each.body
    name = schema.name_of(each.body)
    return name, schema.definitions()[name]


def objects(each: Told) -> list[Table]:
    """What the body is made of, and what that is, each once."""
    if each.body is None:
        return []
    known = schema.definitions()
    found: list[str] = []
    waiting = list(named(body_of(each)[1]))
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found.append(name)
            waiting += named(known[name])
    tables = [Table(short(name), rows(name, known[name])) for name in found]
    return [table for table in tables if table.rows]


def named(value: Any) -> Iterator[str]:
    """The names of all objects that a schema speaks of."""
    if isinstance(value, Mapping):
        if isinstance(ref := value.get("$ref"), str):
            yield ref.removeprefix(REF)
        for inner in value.values():
            yield from named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from named(inner)


def rows(name: str, definition: Json) -> list[Row]:
    """What must be given first."""
    required = definition.get("required", ())
    made = [
        row(key, value, words.about(name, key), key in required)
        for key, value in definition.get("properties", {}).items()
    ]
    return sorted(made, key=lambda each: not each.required)


def row(name: str, value: Json, about: str, required: bool) -> Row:
    # Of a choice or a list that is empty by itself nothing needs to be told.
    usual = value.get("default")
    default = "" if usual in (None, "", [], {}) else json.dumps(usual, ensure_ascii=False)
    bounds = list(dict.fromkeys(filter(None, map(limits, alternatives(value)))))
    return Row(name, kinds(value), about, required, default, " · ".join(bounds))


def alternatives(value: Json) -> list[Json]:
    """What it may be, null left out: everything may be null, and is absent then."""
    found = value.get("anyOf", [value])
    return [each for each in found if each.get("type") != "null"]


def kinds(value: Json) -> list[str]:
    return list(dict.fromkeys(kind(each) for each in alternatives(value))) or ["null"]


def kind(value: Json) -> str:
    if ref := value.get("$ref"):
        return short(ref.removeprefix(REF))
    if "const" in value:
        return json.dumps(value["const"])
    if "enum" in value:
        return " | ".join(json.dumps(each) for each in value["enum"])
    if value.get("type") == "array":
        inner = kinds(value.get("items", {}))
        return f"{inner[0]}[]" if len(inner) == 1 else f"({' | '.join(inner)})[]"
    return str(value.get("type", "any"))


def short(name: str) -> str:
    return name.rpartition("__")[2]


def limits(value: Json) -> str:
    """Numbers, characters or entries: from and to."""
    if span := between(value, "minLength", "maxLength"):
        return _("%(span)s characters") % {"span": span}
    if span := between(value, "minItems", "maxItems"):
        return _("%(span)s entries") % {"span": span}
    if span := between(value, "minProperties", "maxProperties"):
        return _("%(span)s entries") % {"span": span}
    if "exclusiveMinimum" in value:
        return f"> {value['exclusiveMinimum']}, ≤ {value['maximum']}"
    return between(value, "minimum", "maximum")


def between(value: Json, least: str, most: str) -> str:
    low, high = value.get(least), value.get(most)
    low = None if low is None or low < -TELLING else low
    high = None if high is None or high > TELLING else high
    if low is None:
        return "" if high is None else f"≤ {high}"
    return f"≥ {low}" if high is None else f"{low} – {high}"


def failures() -> list[Failure]:
    return list(FAILURES)


FAILURES = (
    Failure(
        400,
        ["invalid_json", "missing_required_parameter", "unknown_parameter", "invalid_type",
         "invalid_value"],
        gettext_lazy("The request is not as it should be. The message says which parameter."),
    ),
    Failure(
        400,
        ["context_length_exceeded"],
        gettext_lazy("The prompt is longer than the model can read. The message has the numbers."),
    ),
    Failure(
        400,
        ["wrong_model", "bad_tokens", "bad_dimensions", "bad_prompt", "template_failed",
         "template_kwargs_refused", "tools_refused", "tool_choice_refused", "bad_schema",
         "bad_grammar", "grammar_too_complex", "parameter_unsupported"],
        gettext_lazy("This model cannot do what was asked for."),
    ),
    Failure(
        400,
        ["provider_refused", "content_filter"],
        gettext_lazy("The model runs elsewhere, and its provider refused this."),
    ),
    Failure(
        401,
        ["invalid_api_key", "account_deactivated", "not_set_up"],
        gettext_lazy("There is no key, or it works no more."),
    ),
    Failure(
        404,
        ["model_not_found", "not_found", "unknown_url"],
        gettext_lazy("There is no such thing, or it is not yours."),
    ),
    Failure(405, ["method_not_allowed"], gettext_lazy("The address is there, the method is not.")),
    Failure(
        409,
        ["idempotency_key_reused", "vectors_gone"],
        gettext_lazy("The Idempotency-Key was used before, for something else or too long ago."),
    ),
    Failure(413, ["request_too_large"], gettext_lazy("The body is too large.")),
    Failure(
        429,
        ["rate_limit_exceeded", "insufficient_quota", "too_many_requests"],
        gettext_lazy("Too much at once. Wait as long as Retry-After says, then try again."),
    ),
    Failure(
        500,
        ["internal_error", "engine_failed", "engine_lost", "model_load_failed", "model_too_large",
         "history_lost", "remote_locked", "engine_missing", "memory_short", "model_unsupported",
         "settings_refused", "answer_interrupted"],
        gettext_lazy("Something broke on this site. A repeat of the same may not help."),
    ),
    Failure(
        502,
        [code for code, (status, _) in provider_errors.FAILURES.items() if status != 500],
        gettext_lazy("The model runs elsewhere, and its provider failed. Some are a 504."),
    ),
    Failure(
        503,
        ["service_unavailable", "overloaded", "model_missing", "storage_full"],
        gettext_lazy("The site cannot do it just now. Try again in a while."),
    ),
    Failure(
        503,
        ["no_worker", "machine_gone", "draining", "refused"],
        gettext_lazy("No machine takes this model just now. The message says why."),
    ),
)  # fmt: skip
