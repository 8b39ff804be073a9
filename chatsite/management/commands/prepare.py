"""`manage.py prepare`: what `up` does first, for who starts the parts one by one."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from chatsite.supervisor import lock, preparation, reach
from chatsite.supervisor.terminal import BAD, Terminal
from chatsite.supervisor.trouble import Trouble


class Command(BaseCommand):
    help = "Bring tables, static files and the starter model up to date, and end."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        terminal = Terminal()
        try:
            lock.secure(settings.DATA_DIR)
            reach.check_database()
            preparation.prepare(terminal)
        except Trouble as trouble:
            terminal.say(str(trouble), BAD)
            sys.exit(1)
        terminal.say("The site is prepared.")
