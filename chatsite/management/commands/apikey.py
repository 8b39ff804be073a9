"""`manage.py apikey`: a new key for a person. Prints the key and nothing else on stdout."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chatsite.accounts import keys
from chatsite.accounts.errors import Refused
from chatsite.accounts.models import User


class Command(BaseCommand):
    help = "Makes an API key for a person and prints it. It cannot be shown again."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--name", default="", help="what the key is for, at most 80 letters")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            user = User.objects.get_by_natural_key(options["username"])
        except User.DoesNotExist:
            raise CommandError(f"There is no account named {options['username']}.") from None
        try:
            _key, text = keys.make_key(user, options["name"][:80])
        except Refused as error:
            raise CommandError(str(error.text)) from None
        self.stdout.write(text)
