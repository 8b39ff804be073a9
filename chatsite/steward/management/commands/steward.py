"""`manage.py steward`: saves answers while they grow. Ends by a signal."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from chatsite.steward.rounds import Steward


class Command(BaseCommand):
    help = "Save growing answers into the database; run one or more beside the web processes."

    def handle(self, *args: Any, **options: Any) -> None:
        Steward().run()
