"""`models`: what the catalogue holds, and what comes, goes and leaves. Parses options; a worker
does the work."""

from __future__ import annotations

import signal
import socket
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand
from django.utils import translation
from django.utils.translation import gettext

from chatsite.accounts.models import User
from chatsite.catalogue import actions, aliases, checking, deliveries, library, troubles
from chatsite.catalogue.errors import HereAlreadyError, Refused, UnderwayError
from chatsite.catalogue.models import Delivery, Model
from chatsite.gateway import engines
from chatsite.gateway.library import LibraryError
from chatsite.management.commands.chat import INTERRUPTED, language, look
from chatsite.management.progress import outcome, size, standard
from chatsite.terminal.trouble import Trouble

VERBS = {
    "list": "one line per model: name, engine, state, bytes on the disk, title",
    "pull": "fetch a model from the hub: owner/name, owner/name:Q4_K_M, an address",
    "import": "take a file, a folder or a bundle that is on this machine",
    "export": "write a model with all that belongs to it into one file",
    "remove": "take a model away, with its files",
    "check": "compare the list of well-known models with the hub",
}


class Command(BaseCommand):
    help = "Shows, fetches, carries and removes the models of this installation."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        made = {verb: verbs.add_parser(verb, help=text) for verb, text in VERBS.items()}
        made["pull"].add_argument("what", help="which model")
        made["import"].add_argument("path", help="a .gguf file, a folder, or a bundle")
        made["export"].add_argument("name", help="which model")
        made["export"].add_argument("path", help="the file to write, or a folder for it")
        made["remove"].add_argument("name", help="which model")
        made["remove"].add_argument("--yes", action="store_true", help="do not ask")
        made["check"].add_argument("words", nargs="*", help="of the list only what they find")
        for verb in ("pull", "import"):
            made[verb].add_argument("--name", default="", help="what it is called here")
        for one in made.values():
            # manage.py has read it already, before the settings were loaded.
            one.add_argument("--data-dir", help="where `up` keeps everything; default: data")

    def handle(self, *args: Any, **options: Any) -> None:
        # Whoever starts it may have it ignored: then nothing could be paused.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with translation.override(language()):
            try:
                status = getattr(self, f"do_{options['verb']}")(options)
            except Trouble as trouble:
                status = self.say(trouble.message)
            except Refused as refused:
                status = self.say(str(refused.text))
            except LibraryError as error:
                status = self.say(troubles.explain({"kind": error.kind, **error.facts}))
            except KeyboardInterrupt:
                status = INTERRUPTED
        if status:
            sys.exit(status)

    def say(self, text: str) -> int:
        self.stderr.write(text)
        return 1

    def do_list(self, options: dict[str, Any]) -> int:
        rows = list(Model.objects.select_related("provider"))
        width = max((len(row.name) for row in rows), default=0)
        for row in rows:
            state = "enabled" if row.enabled else "disabled"
            bytes = size(row.size) if row.size else ""
            line = f"{row.name:{width}}  {row.engine:10}  {state:8}  {bytes:>9}  {row.title}"
            self.stdout.write(line.rstrip())
        if not rows:
            self.stderr.write(gettext("No models yet. `manage.py up` registers the starter model."))
        return 0

    def do_pull(self, options: dict[str, Any]) -> int:
        look()
        about = {"name": options["name"]} if options["name"] else {}
        again = f"manage.py models pull {options['what']}"
        try:
            row = library.pull(owner(), options["what"], about)
        except HereAlreadyError as here:
            return self.here(here.model)
        except UnderwayError as underway:
            return self.join(underway, again)
        return self.follow(row.pk, again)

    def do_import(self, options: dict[str, Any]) -> int:
        look()
        about = {"name": options["name"]} if options["name"] else {}
        path = str(Path(options["path"]).expanduser().absolute())
        again = f"manage.py models import {path}"
        try:
            row = deliveries.begin_import(owner(), path, about, node=worker_here())
        except UnderwayError as underway:
            return self.join(underway, again)
        return self.follow(row.pk, again)

    def do_export(self, options: dict[str, Any]) -> int:
        model = named(options["name"])
        look()
        path = Path(options["path"]).expanduser().absolute()
        if path.is_dir():
            path /= f"{aliases.spell(model.name)}.tar"
        again = f"manage.py models export {model.name} {path}"
        try:
            row = deliveries.begin_export(owner(), model, str(path))
        except UnderwayError as underway:
            return self.join(underway, again)
        status = self.follow(row.pk, again)
        if not status:
            self.stdout.write(str(path))
        return status

    def do_remove(self, options: dict[str, Any]) -> int:
        model = named(options["name"], exactly=True)
        freed = actions.freed_by(model)
        if not options["yes"] and sys.stdin.isatty():
            told = gettext("Remove %(name)s, which frees %(size)s? [y/N] ")
            answer = input(told % {"name": model.name, "size": size(freed)})
            if answer.strip().lower() not in {"y", "yes"}:
                return 1
        actions.remove(model, owner())
        told = gettext("%(name)s is removed. %(size)s leave the disk when nobody uses them.")
        self.stdout.write(told % {"name": model.name, "size": size(freed)})
        return 0

    def do_check(self, options: dict[str, Any]) -> int:
        look()
        good = checking.run(self.stdout.write, " ".join(options["words"]))
        return 0 if good else 1

    def here(self, name: str) -> int:
        told = gettext("This model is here already: %(command)s")
        self.stdout.write(told % {"command": f"manage.py chat {name}"})
        return 0

    def join(self, underway: UnderwayError, again: str) -> int:
        """Go on with one that was paused, and follow it."""
        if underway.delivery is None:
            raise underway
        if Delivery.objects.filter(pk=underway.delivery, state=Delivery.State.PAUSED).exists():
            deliveries.resume(underway.delivery)
        return self.follow(underway.delivery, again)

    def follow(self, pk: UUID, again: str) -> int:
        """To its end; Ctrl-C pauses it."""
        progress = standard()
        try:
            row = progress.follow(pk)
        except KeyboardInterrupt:
            progress.leave()
            return self.paused(pk, again)
        if row.state != Delivery.State.DONE:
            return self.say(outcome(row))
        self.stdout.write(outcome(row))
        return 0

    def paused(self, pk: UUID, again: str) -> int:
        try:
            deliveries.pause(pk)
        except Refused as refused:
            self.stderr.write(str(refused.text))
        else:
            told = gettext("Paused, and what has come is kept. To go on: %(command)s")
            self.stderr.write(told % {"command": again})
        return INTERRUPTED


def owner() -> User | None:
    """On whose behalf: this machine's owner is the first admin."""
    admins = User.objects.filter(is_staff=True, is_active=True).order_by("pk")
    return admins.first()


def worker_here() -> str:
    """The worker of this machine, where a path means what it means here; "" where there is none."""
    room = engines.look()
    host = socket.gethostname()
    names = [worker.name for worker in (room.workers if room else ()) if worker.host == host]
    return next(iter(names), "")


def named(name: str, *, exactly: bool = False) -> Model:
    """Also by an alias, but where it would be gone."""
    found = Model.objects.filter(name=name).first() if exactly else aliases.find(name)
    if found is None:
        message = gettext("There is no model named %(name)s. See: %(command)s")
        raise Trouble(
            "no_model", message % {"name": name[:200], "command": "manage.py models list"}
        )
    return found
