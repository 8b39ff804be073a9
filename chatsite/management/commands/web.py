"""`manage.py web`: one web process of a site whose other parts run elsewhere. Several may run."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import connections
from django.utils.crypto import salted_hmac

from chatsite.hosts import is_loopback
from chatsite.supervisor import address, lock, parts, preparation, reach
from chatsite.supervisor.terminal import BAD, GOOD, Terminal
from chatsite.supervisor.trouble import Trouble


class Command(BaseCommand):
    help = "Run one web process; DATABASE_URL and REDIS_URL say where the rest is."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--host", default="127.0.0.1", help="0.0.0.0 lets others on the network in"
        )
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, **options: Any) -> None:
        """This process becomes the server, so that signals reach it."""
        terminal = Terminal()
        host, port = options["host"], options["port"]
        try:
            make_ready(terminal)
            greet(terminal, host, port)
        except Trouble as trouble:
            terminal.say(str(trouble), BAD)
            sys.exit(1)
        connections.close_all()
        os.environ |= {"CHATSITE_BIND": host, "CHATSITE_DATA_DIR": str(settings.DATA_DIR)}
        command = parts.web_command("-b", host, "-p", str(port))
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted


def make_ready(terminal: Terminal) -> None:
    reach.check_broker(settings.REDIS_URL)
    reach.check_database()
    lacking = preparation.pending()
    if lacking:
        raise Trouble(
            "tables", f"The database lacks {lacking} migrations. Run first: manage.py prepare"
        )
    if not settings.DATABASE_URL:
        lock.share(settings.DATA_DIR)
    preparation.collect(terminal)


def greet(terminal: Terminal, host: str, port: int) -> None:
    """The first account can be made only by who reads this. All web processes have one token, since
    nobody knows which of them will be asked."""
    path = "/"
    if not get_user_model().objects.exists():
        path = "/setup"
        if address.others_come(host):
            token = salted_hmac("chatsite.setup", "first account").hexdigest()[:24]
            os.environ.setdefault("CHATSITE_SETUP_TOKEN", token)
            path += f"?token={os.environ['CHATSITE_SETUP_TOKEN']}"
        terminal.say("Make the first account; it will be the admin:")
    for name in [host] if is_loopback(host) else address.reachable(host):
        terminal.say(f"  {address.url(name, port, path)}", GOOD)
    if settings.CHATSITE_HOSTS:
        scheme = "https" if settings.CHATSITE_HTTPS else "http"
        terminal.say(f"  {scheme}://{settings.CHATSITE_HOSTS[0]}{path}", GOOD)
