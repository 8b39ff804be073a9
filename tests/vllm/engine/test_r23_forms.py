"""R23: forms of answers are followed; one that is bad, endless or slow is refused and harms
nobody."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from inference.contract import Message, Shape, Tokens
from tests.vllm.engine.driving import FRANCE, GREEDY, Driver

ASK = (Message("user", "Give me a person as JSON."),)
LONG = replace(GREEDY, max_tokens=160)
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Oslo", "Rome"]}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


def schema(value: Any) -> Shape:
    return Shape("schema", json.dumps(value))


def test_it_works(tiny: Driver) -> None:
    wanted = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 10}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    found = json.loads(tiny.ask(LONG, ASK, shape=schema(wanted)).text)
    assert found.keys() == {"name", "age"}
    assert isinstance(found["age"], int)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (Shape("choice", json.dumps(["red", "green", "世界"])), {"red", "green", "世界"}),
        (Shape("regex", "(yes|no), [0-9]{2}"), None),
        (Shape("grammar", 'root ::= "sea" | "land"'), {"sea", "land"}),
        (
            Shape("grammar", '# A comment.\nroot ::= ("a" | "b"\n  | "c") end\nend ::= "."'),
            {"a.", "b.", "c."},
        ),
    ],
)
def test_other_forms(tiny: Driver, shape: Shape, expected: set[str] | None) -> None:
    said = tiny.ask(LONG, ASK, shape=shape)
    assert said.end.reason == "stop"
    if expected:
        assert said.text in expected
    else:
        assert said.text[:3] in {"yes", "no,"}
        assert said.text[-2:].isdigit()


def test_any_json(tiny: Driver) -> None:
    said = tiny.ask(replace(LONG, max_tokens=120), ASK, shape=Shape("json"))
    assert said.text.startswith("{")
    if said.end.reason == "stop":
        assert isinstance(json.loads(said.text), dict)


def test_a_call_is_forced(tiny: Driver) -> None:
    asked = tiny.job(
        LONG,
        (Message("user", "How is the weather in Rome?"),),
        tools=(WEATHER,),
        tool_choice="weather",
    )
    tiny.engine.add(asked)
    events = tiny.hear()
    calls = [call for event in events for call in getattr(event, "calls", ())]
    assert calls[0].name == "weather"
    city = json.loads("".join(call.arguments for call in calls))["city"]
    assert city in {"Oslo", "Rome"}


def test_a_form_decides_its_end(tiny: Driver) -> None:
    """Neither a least number of tokens nor a wish to go on leads out of it."""
    only = Shape("choice", json.dumps(["red"]))
    for change in ({"min_tokens": 50}, {"ignore_eos": True}):
        said = tiny.ask(replace(LONG, **change), ASK, shape=only)
        assert (said.text, said.end.reason) == ("red", "stop")


BAD = [
    (schema({"type": "quux"}), "bad_schema"),
    (Shape("schema", "{"), "bad_schema"),
    (schema({"$ref": "http://evil.test/s.json"}), "bad_schema"),
    (schema({"type": "string", "pattern": "("}), "bad_schema"),
    (Shape("regex", "(?<=a)b"), "bad_grammar"),
    (Shape("grammar", 'root ::= "a" undefined'), "bad_grammar"),
    (Shape("grammar", "nonsense"), "bad_grammar"),
    (Shape("grammar", ""), "bad_grammar"),
    (Shape("grammar", 'root ::= "a\0b"'), "bad_grammar"),
    (Shape("grammar", 'start ::= "a"'), "bad_grammar"),
]


@pytest.mark.parametrize(("shape", "kind"), BAD)
def test_r23_a_bad_form_is_refused(tiny: Driver, shape: Shape, kind: str) -> None:
    assert tiny.ask(LONG, ASK, shape=shape).kind == kind


HEAVY = [
    Shape("grammar", "root ::= " + "(" * 20_000 + '"a"' + ")" * 20_000),
    Shape("grammar", "root ::= root root | root"),
    Shape("grammar", 'root ::= ("a"{0,900}){0,900}'),
    Shape("regex", "(((a{1,900}){1,900}){1,900}){1,900}"),
    schema({"type": "array", "items": {"type": "string", "maxLength": 900}, "minItems": 999}),
]


@pytest.mark.parametrize("shape", HEAVY)
def test_r23_a_heavy_form_harms_nobody(tiny: Driver, shape: Shape) -> None:
    other = tiny.job(replace(GREEDY, max_tokens=40, ignore_eos=True), FRANCE)
    bad = tiny.job(replace(LONG, max_tokens=8), ASK, shape=shape)
    tiny.engine.add(other)
    tiny.engine.add(bad)
    began = time.monotonic()
    events = tiny.hear()
    (end,) = [e for e in events if e.id == bad.request.id and hasattr(e, "reason")]
    kind = (end.error or {}).get("kind")
    assert kind in {None, "bad_grammar", "bad_schema", "grammar_too_complex"}
    written = [e for e in events if isinstance(e, Tokens) and e.id == other.request.id]
    assert sum(len(e.tokens) for e in written) == 40
    print(f"{kind}: {time.monotonic() - began:.1f} s")
