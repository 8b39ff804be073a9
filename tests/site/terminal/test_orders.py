"""What begins with a slash on the command line: orders, settings, and messages that only look like
it."""

from __future__ import annotations

import pytest

from chatsite.terminal import orders
from chatsite.terminal.orders import Order
from chatsite.terminal.trouble import Trouble


def test_it_works() -> None:
    assert orders.parse("Hello") is None
    assert orders.parse("/help") == Order("help")
    assert orders.parse("/system  Be brief. ") == Order("system", "Be brief.")
    assert orders.parse("/MODEL echo") == Order("model", "echo")
    assert orders.parse("/quit") == orders.parse("/bye") == Order("bye")


def test_every_order_of_the_help_is_one() -> None:
    for words, _about in orders.HELP:
        assert orders.parse(words)


def test_what_is_no_order_is_told() -> None:
    with pytest.raises(Trouble) as told:
        orders.parse("/etc/passwd what is this?")
    assert told.value.kind == "unknown_order"
    assert "/help" in told.value.message


def test_two_slashes_begin_a_message_with_one() -> None:
    assert orders.parse("//etc/passwd?") is None
    assert orders.plain("//etc/passwd?") == "/etc/passwd?"
    assert orders.plain("a // b") == "a // b"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("temperature 0.5", ("temperature", 0.5)),
        ("temperature=0.5", ("temperature", 0.5)),
        ("top_k  5", ("top_k", 5)),
        ("max_tokens 20", ("max_tokens", 20)),
        ("think off", ("think", False)),
        ("seed", ("seed", None)),
    ],
)
def test_settings(text: str, value: tuple[str, float | bool | None]) -> None:
    assert orders.setting(text) == value


@pytest.mark.parametrize(
    "text",
    ["temperature hot", "temperature 3", "temperature nan", "top_k 1.5", "max_tokens 0", "think x"],
)
def test_values_have_ranges(text: str) -> None:
    with pytest.raises(Trouble) as told:
        orders.setting(text)
    assert told.value.kind == "bad_setting"
    assert text.split()[0] in told.value.message


def test_an_unknown_setting_names_the_others() -> None:
    with pytest.raises(Trouble, match="unknown_setting") as told:
        orders.setting("tempo 1")
    assert "temperature" in told.value.message


def test_counts() -> None:
    assert orders.count("") == 1
    assert orders.count("3") == 3
    with pytest.raises(Trouble):
        orders.count("some")
