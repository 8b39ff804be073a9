"""Grammars on real weights: what is asked for is what is written, and complete means ended."""

from __future__ import annotations

import json
import os
import time
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from inference.contract import Shape
from inference.engines import compiler as module
from inference.engines.compiler import Refusal
from inference.engines.llamacpp import grammar as grammars
from inference.engines.llamacpp.grammar import GrammarError, GrammarTooComplexError
from inference.engines.trial import Trial
from inference.parse.shapes import call_shape, either
from tests.inference.answering import Writer, compiled

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 20},
        "age": {"type": "integer", "minimum": 1, "maximum": 120},
        "home": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 20}},
            "required": ["city"],
        },
    },
    "required": ["name", "age", "home"],
}


@pytest.fixture(scope="module")
def smol() -> Writer:
    return Writer()


def written(smol: Writer, question: str, schema: Any) -> Any:
    gbnf = compiled(Shape("schema", json.dumps(schema)), smol.vocab)
    assert isinstance(gbnf, str), gbnf
    return json.loads(smol.write(question, gbnf))


def test_it_works(smol: Writer) -> None:
    gbnf = compiled(Shape("json"), smol.vocab)
    assert isinstance(gbnf, str)
    text = smol.write("Describe a cat as JSON.", gbnf, closers='"}]')
    assert len(json.loads(text)) > 0


def test_an_object_has_what_its_schema_asks_for(smol: Writer) -> None:
    person = written(smol, "Describe Bob, 42, of Paris, as JSON.", PERSON)
    assert list(person) == ["name", "age", "home"]
    assert 1 <= person["age"] <= 120
    assert isinstance(person["home"]["city"], str)


def test_an_enum_is_one_of_its_values(smol: Writer) -> None:
    values = ["été", 'say "no"', "back\\slash", 7, None]
    assert written(smol, "Choose.", {"enum": values}) in values
    assert written(smol, "Choose.", {"prefixItems": [{"const": v} for v in values]}) == values


def test_an_array_has_the_length_that_is_asked_for(smol: Writer) -> None:
    color = {"enum": ["red", "green", "blue"]}
    schema: dict[str, Any] = {"type": "array", "items": color, "minItems": 2, "maxItems": 3}
    colors = written(smol, "Name colours.", schema)
    assert 2 <= len(colors) <= 3
    assert set(colors) <= {"red", "green", "blue"}
    pair = {"prefixItems": [{"type": "boolean"}, color]}
    first, second = written(smol, "A pair.", pair)
    assert isinstance(first, bool)
    assert second in color["enum"]


def test_a_schema_may_contain_itself(smol: Writer) -> None:
    node = {
        "type": "object",
        "properties": {
            "value": {"type": "integer", "minimum": 0, "maximum": 9},
            "next": {
                "description": "or nothing",
                "anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}],
            },
        },
        "required": ["value", "next"],
    }
    schema = {"$ref": "#/$defs/node", "$defs": {"node": node}}
    gbnf = compiled(Shape("schema", json.dumps(schema)), smol.vocab)
    assert isinstance(gbnf, str)
    list_of_three = '{"value": 1, "next": {"value": 2, "next": {"value": 3, "next": null}}}'
    assert follows(smol, gbnf, list_of_three)
    assert not follows(smol, gbnf, '{"value": 1, "next": {"value": 2}}')


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "string", "pattern": r"^[a-c]{2,3}\d$"}, ['"ab1"', '"abc9"'], ['"a1"', '"abd1"']),
        ({"type": "string", "pattern": "b+"}, ['"b"', '"abba"', '"b\\n"'], ['""', '"ac"']),
        ({"type": "string", "pattern": r'^[^a]"\\$'}, [r'"b\"\\"'], [r'"a\"\\"', r'"b"\\"']),
        ({"type": "string", "format": "date"}, ['"2026-01-31"'], ['"2026-13-01"', '"soon"']),
        ({"minLength": 2, "maxLength": 3}, ['"aé"', '"\\u00e9ab"'], ['"a"', '"abcd"']),
        ({"type": "integer", "minimum": 0}, ["0", "17"], ["-1", "01", "1.5"]),
        ({"type": ["number", "null"]}, ["-1.5e3", "null"], ["true", '"1"']),
        ({"allOf": [PERSON["properties"]["home"], {"properties": {"zip": {"type": "null"}}}]},
         ['{"city": "a", "zip": null}', '{"city": "a"}'], ['{"zip": null}', '{"city": "a",}']),
        ({"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "required": ["b"]},
         ['{"b": 1}', '{"a": [], "b": {}, "c": "x"}', '{"b":1,"c":2}'],
         ["{}", '{"a": 1}', '{"b": 1, "a": 1}', '{,"b": 1}', '{"b": 1, "d": 1}']),
        ({"type": "object", "additionalProperties": {"type": "integer"}},
         ["{}", '{"x": 1, "y": 2}'], ['{"x": "1"}', '{"x": 1,}']),
        ({}, ["1", '"a"', "[1, {}]", '{"a": [true]}'], ["", "a", "[1,]", '"\n"', '"\\ud800"']),
    ],
)  # fmt: skip
def test_a_schema_says_what_may_be_written(
    smol: Writer, schema: Any, good: list[str], bad: list[str]
) -> None:
    gbnf = compiled(Shape("schema", json.dumps(schema)), smol.vocab)
    assert isinstance(gbnf, str), gbnf
    assert [text for text in good if not follows(smol, gbnf, text)] == []
    assert [text for text in bad if follows(smol, gbnf, text)] == []


@pytest.mark.parametrize(
    ("kind", "value", "good", "bad"),
    [
        ("choice", '["yes", "no", "say \\"no\\""]', ["yes", 'say "no"'], ["ye", "yesno", ""]),
        ("regex", r"^[a-c]{2,3}\d$", ["ab1", "abc9"], ["a1", "abd1", "ab1 "]),
        ("regex", r"(\w+)@(\w+)\.com|none", ["a@b.com", "none"], ["a@b.org", "nonea"]),
        ("regex", r'[^"\n]*"', ['say"', '"'], ['"a"', 'a\n"']),
    ],
)
def test_what_is_no_json_has_a_form_too(
    smol: Writer, kind: str, value: str, good: list[str], bad: list[str]
) -> None:
    gbnf = compiled(Shape(kind, value), smol.vocab)
    assert isinstance(gbnf, str), gbnf
    assert [text for text in good if not follows(smol, gbnf, text)] == []
    assert [text for text in bad if follows(smol, gbnf, text)] == []


@pytest.mark.parametrize("pattern", ["(", "a(?=b)", r"(a)\1", "a{1,5000}"])
def test_an_expression_that_no_grammar_can_say_is_refused(smol: Writer, pattern: str) -> None:
    refusal = compiled(Shape("regex", pattern), smol.vocab)
    assert isinstance(refusal, Refusal)
    assert refusal.kind == "bad_grammar"


def follows(smol: Writer, gbnf: str, text: str) -> bool:
    """Whether the text may be the whole answer."""
    grammar = smol.open(gbnf)
    eos = smol.ending[0]
    try:
        for token in smol.tokenize(text):
            grammar.accept(token)
        return grammar.allows(eos)
    except GrammarError:
        return False
    finally:
        grammar.close()


def test_a_call_stands_between_its_marks(smol: Writer) -> None:
    schema = {"type": "object", "properties": {"q": {"const": "x"}}, "required": ["q"]}
    value: dict[str, Any] = {
        "prefix": '<tool_call>\n{"arguments": ',
        "schema": schema,
        "suffix": "}</tool_call>",
    }
    gbnf = compiled(Shape("call", json.dumps(value)), smol.vocab)
    assert isinstance(gbnf, str), gbnf
    text = smol.write("Search.", gbnf)
    assert text.startswith(value["prefix"])
    assert text.endswith(value["suffix"])
    assert json.loads(text[len(value["prefix"]) : -len(value["suffix"])]) == {"q": "x"}


@pytest.mark.parametrize("choice", ["required", "find"])
def test_the_calls_of_a_family_can_be_forced(smol: Writer, choice: str) -> None:
    parameters = {"type": "object", "properties": {"q": {"const": "x"}}, "required": ["q"]}
    tools = [
        {"type": "function", "function": {"name": name, "parameters": parameters}}
        for name in ("find", "open")
    ]
    shape = call_shape("hermes", tools, choice, True)
    assert shape
    gbnf = compiled(shape, smol.vocab)
    assert isinstance(gbnf, str), gbnf
    call = '<tool_call>\n{"name": "find", "arguments": {"q": "x"}}\n</tool_call>'
    assert follows(smol, gbnf, call)
    assert follows(smol, gbnf, f"{call}\n{call}") == (choice == "required")
    assert follows(smol, gbnf, call.replace("find", "open")) == (choice == "required")
    assert not follows(smol, gbnf, call.replace("find", "shut"))


@pytest.mark.parametrize("family", ["hermes", "llama"])
@pytest.mark.parametrize("answer", [Shape("json"), Shape("schema", '{"enum": ["red", "green"]}')])
def test_a_call_or_an_answer_in_its_form(smol: Writer, family: str, answer: Shape) -> None:
    function = {"name": "now", "parameters": {"properties": {"zone": {"enum": ["UTC"]}}}}
    call = call_shape(family, [{"function": function}], "required", False)
    assert call
    gbnf = compiled(either(call, answer), smol.vocab)
    assert isinstance(gbnf, str), gbnf
    said = '"red"' if answer.kind == "schema" else '{"soup": "red"}'
    key = "arguments" if family == "hermes" else "parameters"
    called = f'{{"name": "now", "{key}": {{"zone": "UTC"}}}}'
    called = f"<tool_call>\n{called}\n</tool_call>" if family == "hermes" else called
    assert follows(smol, gbnf, said)
    assert follows(smol, gbnf, called)
    assert not follows(smol, gbnf, said + called)
    assert not follows(smol, gbnf, "soup")


def test_a_complete_answer_can_only_end(smol: Writer) -> None:
    assert smol.write("Say something.", 'root ::= "yes" | "no"') in {"yes", "no"}
    grammar = smol.open('root ::= "yes"')
    eos = smol.ending[0]
    assert not grammar.allows(eos)
    for token in smol.tokenize("yes"):
        grammar.accept(token)
    allowed = smol.ids[grammar.mask(smol.ids)]
    assert len(allowed)
    assert all(smol.ends(int(token)) for token in allowed)
    grammar.accept(eos)
    grammar.close()


def test_a_resumed_answer_goes_on_where_it_was(smol: Writer) -> None:
    begun, resumed = (smol.open('root ::= "alpha beta " ("gamma" | "delta")') for _ in range(2))
    for token in smol.tokenize("alpha beta "):
        assert begun.allows(token)
        begun.accept(token)
        # Without a question before it: so does a log.
        resumed.accept(token)
    assert (begun.mask(smol.ids) == resumed.mask(smol.ids)).all()


def test_what_is_not_allowed_is_an_error_and_no_crash(smol: Writer) -> None:
    grammar = smol.open('root ::= "yes"')
    grammar.accept(smol.tokenize("maybe")[0])
    for token in smol.tokenize("yes"):
        with pytest.raises(GrammarError):
            grammar.allows(token)
        grammar.accept(token)
    with pytest.raises(GrammarError):
        smol.open("root ::= root")


def test_a_mark_is_no_text_except_where_it_is_named(smol: Writer) -> None:
    (mark,) = smol.tokenize("<|im_start|>", special=True)
    assert not smol.open("root ::= [^x]*").allows(mark)
    assert smol.open('root ::= "<|im_start|>" "x"').allows(mark)


def test_a_choice_that_takes_too_long_is_an_error(smol: Writer) -> None:
    grammar = grammars.Grammar("root ::= [a-z]*", smol.vocab, smol.size, limit=1e-6)
    with pytest.raises(GrammarTooComplexError):
        grammar.mask(smol.ids)


@pytest.mark.parametrize(
    ("looks", "refused"),
    [([0.02, 0, 0.02, 0], False), ([0.02, 0.02], True), ([0.6], True)],
    ids=["now and then", "twice", "far too long"],
)
def test_a_moment_that_was_another_s_is_no_choice_that_takes_too_long(
    smol: Writer, monkeypatch: pytest.MonkeyPatch, looks: list[float], refused: bool
) -> None:
    """The clock of a thread runs on where the machine is another's."""
    grammar = smol.open('root ::= "a"*')
    moments = [moment for each in looks for moment in (0.0, each)]
    monkeypatch.setattr(time, "thread_time", lambda: moments.pop(0))
    tokens = np.array(smol.tokenize("a"), dtype=np.int32)
    with pytest.raises(GrammarTooComplexError) if refused else nullcontext():
        for _ in looks:
            grammar.mask(tokens)
    grammar.close()


def test_what_was_tried_is_remembered(smol: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = grammars.compiler(smol.vocab)
    good, bad = Shape("grammar", 'root ::= "a"'), Shape("grammar", "root ::= root")
    results = [compiled(shape, smol.vocab, compiler) for shape in (good, bad)]
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("It was tried again."))
    assert [compiler.start(shape).poll() for shape in (good, bad)] == results
    monkeypatch.undo()
    monkeypatch.setattr(module, "KEPT", 1)
    for n in range(3):
        compiled(Shape("grammar", f'root ::= "{n}"'), smol.vocab, compiler)
    assert len(compiler._known) <= 3


def test_a_trial_that_nobody_waits_for_is_ended(smol: Writer) -> None:
    compiler = grammars.compiler(smol.vocab)
    shapes = [Shape("grammar", f"root ::= {'[a-z]? ' * (900 + n)}") for n in range(3)]
    running = [compiler.start(shape) for shape in shapes]
    children = [each.trial._child for each in running if each.trial]
    assert len(children) == 2
    for each in running:
        each.cancel()
    for child in children:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)
    assert isinstance(compiled(Shape("grammar", 'root ::= "a"'), smol.vocab, compiler), str)


def test_a_trial_may_die_in_any_way() -> None:
    def hungry() -> dict[str, str]:
        return {"size": str(len(b"x" * (4 << 30)))}

    for work, seconds in [(os.abort, 5.0), (hungry, 5.0), (lambda: time.sleep(9), 0.2)]:
        trial = Trial(work, seconds)  # type: ignore[arg-type]
        begun = time.monotonic()
        while (said := trial.poll()) is None:
            time.sleep(0.005)
        assert said == {}
        assert time.monotonic() - begun < 5


def test_a_long_result_comes_whole() -> None:
    trial = Trial(lambda: {"gbnf": "x" * 300_000}, 5)
    while (said := trial.poll()) is None:
        time.sleep(0.005)
    assert len(said["gbnf"]) == 300_000
