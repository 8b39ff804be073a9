"""`manage.py move`: everything from the SQLite of the data directory into a PostgreSQL."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from chatsite import databases
from chatsite.moving.copying import Line, move
from chatsite.supervisor import lock
from chatsite.supervisor.terminal import BAD, BOLD, GOOD, Terminal
from chatsite.supervisor.trouble import Trouble


class Command(BaseCommand):
    help = "Copy everything from this site's SQLite file into an empty PostgreSQL database."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--to", help="postgres://user:password@host/name; default: DATABASE_URL"
        )
        # manage.py has read it already, before the settings were loaded.
        parser.add_argument("--data-dir", help="where the site is kept; default: data")

    def handle(self, *args: Any, **options: Any) -> None:
        terminal = Terminal()
        try:
            lines = run(options["to"] or settings.DATABASE_URL, terminal)
        except Trouble as trouble:
            terminal.say(str(trouble), BAD)
            sys.exit(1)
        report(lines, terminal)


def run(url: str, terminal: Terminal) -> list[Line]:
    if not url.startswith(databases.POSTGRESQL):
        raise Trouble("target", f"Say where to, in DATABASE_URL or with --to. {databases.FORM}")
    target = databases.configure(url)
    # A disk that takes long to write what it was given is no network that is cut.
    target["OPTIONS"]["tcp_user_timeout"] = 0
    with lock.claim(settings.DATA_DIR, "manage.py move"):
        return move(settings.SQLITE, target, lambda text: terminal.part("move", text))


def report(lines: Sequence[Line], terminal: Terminal) -> None:
    say = terminal.say
    width = max(len(line.table) for line in lines)
    say()
    say(f"{'table':{width}} {'here':>9} {'there':>9}  {'hash here':12}  hash there", BOLD)
    for line in (line for line in lines if line.source.rows):
        here, there = line.source, line.target
        counts = f"{here.rows:>9} {there.rows:>9}  {here.hash}  {there.hash}"
        note = f"  {here.mended} values made fit" if here.mended else ""
        say(f"{line.table:{width}} {counts}{note}")
    say()
    say("Everything is in the new database, and it is the same.", GOOD)
    if any(line.source.mended for line in lines):
        say("Made fit: characters that PostgreSQL does not keep, and texts that were too long.")
    say("From now on start the site with DATABASE_URL set to it, and with the same data directory,")
    say(f"which has the signing key and the models. Keep {settings.SQLITE} until you are sure.")
