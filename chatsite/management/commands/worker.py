"""`manage.py worker`: a worker on this machine, for the site whose Redis is at REDIS_URL."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from chatsite.supervisor import parts, reach

# Seconds between two looks for a Redis that is not there yet, and between two lines about it.
PAUSE = 2.0
REMIND = 60.0


class Command(BaseCommand):
    help = "Run models here for the site whose Redis is at REDIS_URL."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        """This process becomes the worker: the engine room has no use for Django."""
        if not settings.OWN_REDIS:
            self.stderr.write(
                "Set REDIS_URL to the Redis of the site, for example redis://host:6379/0"
            )
            sys.exit(1)
        self.wait_for_broker()
        os.environ.setdefault("CHATSITE_DATA_DIR", str(settings.DATA_DIR))
        command = parts.worker_command()
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted

    def wait_for_broker(self) -> None:
        """A machine that starts before the site's waits; what somebody has to set ends it."""
        said = -REMIND
        while fault := reach.broker_fault(settings.REDIS_URL):
            if not fault.passing:
                self.stderr.write(fault.text)
                sys.exit(1)
            if time.monotonic() - said > REMIND:
                said = time.monotonic()
                self.stderr.write(f"{fault.text} Waiting for it ...")
            time.sleep(PAUSE)
