"""`models list`: what the catalogue holds. It prints and changes nothing."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from chatsite.catalogue.models import Model


class Command(BaseCommand):
    help = "Shows the models of this installation."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="one line per model: name, engine, state, title")

    def handle(self, *args: Any, **options: Any) -> None:
        rows = list(Model.objects.all())
        width = max((len(row.name) for row in rows), default=0)
        for row in rows:
            state = "enabled" if row.enabled else "disabled"
            line = f"{row.name:{width}}  {row.engine:10}  {state:8}  {row.title}"
            self.stdout.write(line.rstrip())
        if not rows:
            self.stderr.write("No models yet. `manage.py up` registers the starter model.")
