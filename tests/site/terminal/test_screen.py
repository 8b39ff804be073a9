"""What is shown: answers on the one stream, all else on the other, and no tricks of a model's."""

from __future__ import annotations

from io import BytesIO, StringIO, TextIOWrapper

import pytest

from chatsite.terminal.screen import DIM, Screen


class Glass(StringIO):
    """A terminal, as far as a program can tell."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_it_works() -> None:
    out, err = Glass(), Glass()
    screen = Screen(out, err)
    screen.phase("loading", 0.5)
    screen.answer("Hel", "")
    screen.answer("lo", "")
    screen.end()
    assert out.getvalue() == "Hello\n"
    assert "50 %" in err.getvalue()
    assert err.getvalue().endswith("\r\033[K")


def test_a_pipe_gets_the_bare_answer() -> None:
    out, err = StringIO(), StringIO()
    screen = Screen(out, err)
    screen.place(3, 10)
    screen.answer("", "hm")
    screen.answer("Hello\n", "")
    screen.end()
    assert out.getvalue() == "Hello\n"
    assert err.getvalue() == ""


def test_reasoning_is_dim_and_apart() -> None:
    out = Glass()
    screen = Screen(out, Glass())
    screen.answer("", "hm")
    screen.answer("Hello", "")
    screen.end()
    assert out.getvalue() == f"{DIM}hm\033[0m\n\nHello\n"


def test_no_colours_where_none_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = Glass()
    screen = Screen(out, Glass())
    screen.answer("Hello", "hm")
    assert out.getvalue() == "hm\n\nHello"


def test_a_models_words_move_no_cursor() -> None:
    out = Glass()
    Screen(out, Glass()).answer("a\033]0;title\007b\x9b2Jc\r\bd\n\te\u0141", "")
    assert out.getvalue() == "a]0;titleb2Jcd\n\te\u0141"


def test_the_state_never_takes_away_words() -> None:
    out, err = Glass(), Glass()
    screen = Screen(out, err)
    screen.answer("half a li", "")
    screen.phase("waiting", 0)
    assert err.getvalue() == ""


def test_the_place_in_the_queue() -> None:
    err = Glass()
    Screen(Glass(), err).place(2, 30)
    assert "Waiting, 2 before you, about 30 s" in err.getvalue()


def test_a_character_that_the_terminal_does_not_know_ends_no_answer() -> None:
    raw = BytesIO()
    screen = Screen(TextIOWrapper(raw, encoding="latin-1"), StringIO())
    screen.answer("Fish: 🐟, né.", "")
    screen.end()
    assert raw.getvalue().decode("latin-1") == "Fish: ?, né.\n"
