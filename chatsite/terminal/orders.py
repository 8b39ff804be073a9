"""What begins with a slash: names, and settings with their ranges. It parses and does nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from chatsite.terminal.trouble import Trouble

HELP = [
    ("/help", _("this list")),
    ("/model NAME", _("talk to another model")),
    ("/models", _("which models there are")),
    ("/system TEXT", _("what the model is told first; without a text: nothing")),
    ("/set NAME VALUE", _("a setting; without a name: all of them")),
    ("/retry", _("another answer to the same message")),
    ("/forget N", _("forget the N oldest messages and their answers")),
    ("/clear", _("forget everything and begin anew")),
    ("/bye", _("leave; Ctrl-D does it, too")),
]
NAMES = {words.split()[0].removeprefix("/") for words, _about in HELP}
OTHERS = {"exit": "bye", "quit": "bye", "?": "help"}


@dataclass(frozen=True, slots=True)
class Order:
    name: str
    rest: str = ""


def parse(text: str) -> Order | None:
    """The order; None where something is said to the model. Two slashes begin a message with
    one."""
    if not text.startswith("/") or text.startswith("//"):
        return None
    name, _space, rest = text[1:].partition(" ")
    name = OTHERS.get(name.lower(), name.lower())
    if name not in NAMES:
        message = gettext(
            "There is no /%(name)s. /help shows what there is; a message that begins with a slash "
            "is written with two."
        )
        raise Trouble("unknown_order", message % {"name": name[:40]})
    return Order(name, rest.strip())


def plain(text: str) -> str:
    """A message as the model gets it."""
    return text.removeprefix("/") if text.startswith("//") else text


@dataclass(frozen=True, slots=True)
class Range:
    kind: Callable[[str], float]
    low: float
    high: float

    def read(self, name: str, text: str) -> float:
        try:
            value = self.kind(text)
        except ValueError:
            value = float("nan")
        if not self.low <= value <= self.high:
            message = gettext("%(name)s is a number from %(low)s to %(high)s.")
            told = {"name": name, "low": self.low, "high": self.high}
            raise Trouble("bad_setting", message % told)
        return value


# By the names that the engine room has for them.
NUMBERS = {
    "temperature": Range(float, 0, 2),
    "top_p": Range(float, 0, 1),
    "top_k": Range(int, 0, 1 << 20),
    "min_p": Range(float, 0, 1),
    "repetition_penalty": Range(float, 0.1, 10),
    "presence_penalty": Range(float, -2, 2),
    "frequency_penalty": Range(float, -2, 2),
    "max_tokens": Range(int, 1, 1 << 24),
    "seed": Range(int, 1, (1 << 63) - 1),
}
SWITCHES = {"on": True, "off": False}
THINK = "think"


def setting(text: str) -> tuple[str, float | bool | None]:
    """A name and its value; None takes back what was set."""
    name, _space, value = text.replace("=", " ", 1).partition(" ")
    value = value.strip()
    if name not in NUMBERS and name != THINK:
        known = ", ".join([*NUMBERS, THINK])
        message = gettext("There is no setting of this name. There are: %(names)s.")
        raise Trouble("unknown_setting", message % {"names": known})
    if not value:
        return name, None
    if name != THINK:
        return name, NUMBERS[name].read(name, value)
    if value not in SWITCHES:
        raise Trouble("bad_setting", gettext("think is on or off."))
    return name, SWITCHES[value]


def count(text: str) -> int:
    if not text:
        return 1
    return int(Range(int, 1, 1 << 20).read("N", text))
