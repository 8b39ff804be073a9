"""`manage.py chat`: talk to a model on the command line, or over a pipe. Parses options; the
terminal's room does the rest."""

from __future__ import annotations

import os
import signal
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils import translation
from django.utils.translation import gettext

from chatsite.accounts.models import User
from chatsite.gateway import engines
from chatsite.terminal import orders
from chatsite.terminal.dialogue import Dialogue
from chatsite.terminal.screen import Screen
from chatsite.terminal.session import Session, find
from chatsite.terminal.trouble import Trouble

# What shells report of a program that Ctrl-C has ended.
INTERRUPTED = 130


class Command(BaseCommand):
    help = "Talks to a model. Over a pipe: all that comes in is one message, the answer goes out."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", nargs="?", default="", help="default: the first one")
        parser.add_argument("--system", help="what the model is told first")
        parser.add_argument("--temperature", help="0 to 2; 0 takes the likeliest token each time")
        parser.add_argument("--max-tokens", help="the longest that an answer may become")
        # manage.py has read it already, before the settings were loaded.
        parser.add_argument("--data-dir", help="where `up` keeps everything; default: data")
        parser.add_argument("--user", help="on whose account; default: the first admin")

    def handle(self, *args: Any, **options: Any) -> None:
        # Whoever starts it may have it ignored: then an answer could not be stopped.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with translation.override(language()):
            try:
                status = run(options)
            except Trouble as trouble:
                self.stderr.write(trouble.message)
                status = 1
            except BrokenPipeError:
                # Nobody reads any more: what is left is not for the interpreter to write, either.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                status = 1
            except KeyboardInterrupt:
                status = INTERRUPTED
        if status:
            sys.exit(status)


def run(options: dict[str, Any]) -> int:
    look()
    user = person(options["user"])
    session = Session(user, find(user, options["model"]), Screen(sys.stdout, sys.stderr))
    session.system = options["system"]
    for name in ("temperature", "max_tokens"):
        if options[name] is not None:
            session.set(*orders.setting(f"{name} {options[name]}"))
    if sys.stdin.isatty():
        Dialogue(session).run(settings.DATA_DIR / "chat_history")
        return 0
    return INTERRUPTED if session.ask(piped()).stopped else 0


def look() -> None:
    """Whether there is anybody to talk to."""
    room = engines.look()
    if room is None:
        message = gettext(
            "The site is not running. Start it first, in another terminal: %(command)s"
        )
        raise Trouble("broker", message % {"command": "manage.py up"})
    if not room.workers:
        message = gettext("No worker is running just now. Wait a moment, or look at: %(command)s")
        raise Trouble("worker", message % {"command": "manage.py up"})


def person(name: str | None) -> User:
    """Whose account it goes on."""
    if name is None:
        admins = User.objects.filter(is_staff=True, is_active=True).order_by("pk")
        if found := admins.first():
            return found
        message = gettext(
            "This site has no account yet. Open /setup in a browser to make the first one."
        )
        raise Trouble("no_account", message)
    found = User.objects.filter(username__iexact=name, is_active=True).first()
    if found is None:
        message = gettext("There is no account named %(name)s.") % {"name": name[:150]}
        raise Trouble("no_account", message)
    return found


def piped() -> str:
    text = sys.stdin.buffer.read().decode(errors="replace").strip()
    if not text:
        raise Trouble("blank", gettext("There is nothing to say: the input is empty."))
    return text


def language() -> str:
    """The terminal's, where the product speaks it."""
    names = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    chosen = next((name for name in names if name), "en").partition(".")[0].partition("@")[0]
    try:
        return translation.get_supported_language_variant(chosen.replace("_", "-").lower())
    except LookupError:
        return "en"
