"""What is said goes on to the model in a form that can be stored."""

from __future__ import annotations

from io import StringIO

from chatsite.accounts.models import User
from chatsite.catalogue.models import Model
from chatsite.terminal.screen import Screen
from chatsite.terminal.session import Session


def session(system: str | None) -> Session:
    made = Session(User(username="alice"), Model(name="m"), Screen(StringIO(), StringIO()))
    made.system = system
    return made


def test_it_works() -> None:
    (message,) = session("Be brief.")._told()
    assert (message.role, message.content) == ("system", "Be brief.")
    assert session("")._told() == session(None)._told() == []


def test_bytes_that_are_no_text_are_replaced() -> None:
    # As the command line brings them, where it was typed in another encoding.
    (message,) = session("caf\udce9\0 au lait")._told()
    assert message.content == "caf? au lait"
