"""`manage.py worker`: a worker on this machine, for the site whose Redis is at REDIS_URL."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from chatsite.supervisor import parts


class Command(BaseCommand):
    help = "Run models here for the site whose Redis is at REDIS_URL."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """This process becomes the worker: the engine room has no use for Django."""
        if not os.environ.get("REDIS_URL"):
            self.stderr.write(
                "Set REDIS_URL to the Redis of the site, for example redis://host:6379/0"
            )
            sys.exit(1)
        os.environ.setdefault("CHATSITE_DATA_DIR", str(settings.DATA_DIR))
        command = parts.worker_command()
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
