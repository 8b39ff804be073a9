"""What is typed: lines, texts of several lines, and how to leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from chatsite.terminal.keyboard import Keyboard, Memory

Typed = str | type[BaseException]


def keyboard(*typed: Typed) -> tuple[Keyboard, list[str], list[str]]:
    """A keyboard on which this is typed; its prompts, and the hints that it gave."""
    prompts: list[str] = []
    hints: list[str] = []
    rest: Iterator[Typed] = iter(typed)

    def line(prompt: str) -> str:
        prompts.append(prompt)
        found = next(rest, EOFError)
        if isinstance(found, str):
            return found
        raise found

    return Keyboard(lambda: hints.append("hint"), line), prompts, hints


def test_it_works() -> None:
    keys, prompts, _ = keyboard("Hello", "  ", "", "there")
    assert [keys.read(), keys.read(), keys.read()] == ["Hello", "there", None]
    assert set(prompts) == {">>> "}


def test_quotes_hold_several_lines() -> None:
    keys, prompts, _ = keyboard('"""', "one", "", 'two"""', '"""three"""', '"""', "four", '"""')
    assert [keys.read(), keys.read(), keys.read()] == ["one\n\ntwo", "three", "four"]
    assert prompts[:4] == [">>> ", "... ", "... ", "... "]


def test_the_end_in_the_middle_of_a_text_is_the_end() -> None:
    keys, _, _ = keyboard('"""', "one")
    assert keys.read() is None


def test_ctrl_c_once_warns_and_twice_leaves() -> None:
    keys, _, hints = keyboard(KeyboardInterrupt, "Hello", KeyboardInterrupt, KeyboardInterrupt, "x")
    assert keys.read() == "Hello"
    assert hints == ["hint"]
    assert keys.read() is None
    assert hints == ["hint", "hint"]


def test_ctrl_c_takes_back_a_text_that_was_begun() -> None:
    keys, _, _ = keyboard('"""', "one", KeyboardInterrupt, "two")
    assert keys.read() == "two"


def test_what_is_remembered_is_the_owners_alone(tmp_path: Path) -> None:
    with Memory(tmp_path / "history"):
        pass
    assert (tmp_path / "history").stat().st_mode & 0o077 == 0
