"""`manage.py up`: the whole product on one machine. Parses options; the house does the rest."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from chatsite.supervisor import address, lock, pids
from chatsite.supervisor.house import House
from chatsite.supervisor.terminal import BAD, Terminal
from chatsite.supervisor.trouble import Trouble


class Command(BaseCommand):
    help = "Run everything on this machine: broker, web site, worker and steward."
    # The checks load every room once more; the gates run them instead.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--host", default="127.0.0.1", help="0.0.0.0 lets others on the network in"
        )
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument(
            "--no-worker", action="store_true", help="run no models here; other machines do"
        )
        # manage.py has read it already, before the settings were loaded.
        parser.add_argument("--data-dir", help="where everything is kept; default: data")

    def handle(self, *args: Any, **options: Any) -> None:
        terminal = Terminal()
        try:
            run(options["host"], options["port"], terminal, works=not options["no_worker"])
        except Trouble as trouble:
            terminal.say(str(trouble), BAD)
            sys.exit(1)


def run(host: str, port: int, terminal: Terminal, *, works: bool) -> None:
    data = settings.DATA_DIR
    with lock.claim(data, address.url(host, port)):
        left = pids.reap(data)
        if left:
            terminal.say(f"Ended {left} processes that an earlier run had left behind.")
        listener = address.listen(host, port)
        House(data, settings.BASE_DIR / "manage.py", listener, terminal, works=works).run()
