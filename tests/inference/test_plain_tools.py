"""Models whose chat template knows no tools are told of them in words, and refuse where they would
have to choose by themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inference.contract import Message, ModelSpec, Request, ToolCall
from inference.intake import Intake
from inference.parse.formats import HERMES, PLAIN
from inference.parse.writer import Writer
from inference.plain_tools import ToolsError, spell_out

NOW: dict[str, Any] = {
    "type": "function",
    "function": {"name": "now", "description": "The time", "parameters": {"type": "object"}},
}
HELLO = Message("user", "Hello")
TALK = (
    HELLO,
    Message("assistant", "", tool_calls=(ToolCall("c1", "now", '{"zone": "UTC"}'),)),
    Message("tool", "12:00", tool_call_id="c1", name="now"),
)
KNOWS = "{% for m in messages %}{{ m.content }}{% endfor %}{{ tools }}<tool_call>"


class Letters:
    """A vocabulary of single characters."""

    size = 0x110000
    first = None
    controls: dict[int, str] = {}

    def tokenize(self, text: str) -> list[int]:
        return [ord(c) for c in text]

    def piece(self, token: int) -> bytes:
        return chr(token).encode()


def intake(source: str = "") -> Intake:
    return Intake(Letters(), 10_000, source)


def request(*messages: Message, choice: str = "auto") -> Request:
    spec = ModelSpec("m", "e", {})
    return Request("a", "u", spec, messages or TALK, tools=(NOW,), tool_choice=choice)


def test_it_works() -> None:
    text = intake().read(request(HELLO, choice="now")).text
    assert json.dumps(NOW["function"]) in text
    assert text.index("system") < text.index("The time") < text.index("Hello")


def test_a_system_prompt_stays_the_first() -> None:
    turns = spell_out([Message("system", "Be brief.", published=True), HELLO], [NOW])
    assert [turn.role for turn in turns] == ["system", "user"]
    assert turns[0].content.startswith("Be brief.\n\n")
    assert not turns[0].published


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_only_a_forced_call_works(choice: str) -> None:
    if choice != "auto":
        assert ("The time" in intake().read(request(choice=choice)).text) == (choice == "required")
        return
    with pytest.raises(ToolsError) as refused:
        intake().read(request())
    assert refused.value.kind == "tools_refused"


def test_calls_and_answers_are_in_words() -> None:
    turns = spell_out(TALK, [])
    assert [turn.role for turn in turns] == ["user", "assistant", "user"]
    assert turns[1].content == (
        '<tool_call>\n{"name": "now", "arguments": {"zone": "UTC"}}\n</tool_call>'
    )
    assert '"content": "12:00"' in turns[2].content


def test_a_template_that_knows_tools_is_left_alone() -> None:
    text = intake(KNOWS).read(request()).text
    assert "The time" in text
    assert "You can call" not in text


def test_a_forced_call_of_a_plain_model_is_read() -> None:
    forced = request(choice="now")
    assert intake().format.family is PLAIN
    form = intake().format_for(forced)
    assert form.family is HERMES
    assert intake().format_for(request()).family is PLAIN
    shape = form.call_shape(forced.tools, "now", False)
    assert shape is not None
    assert shape.kind == "call"
    writer = Writer(form, tools=forced.tools)
    delta = writer.feed(b'<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>')
    rest = writer.flush()
    calls = [*delta.calls, *rest.calls]
    assert ("".join(c.name for c in calls), delta.text + rest.text) == ("now", "")
