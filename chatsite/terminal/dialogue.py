"""Somebody at the keyboard and a session: orders are done, everything else is said to the model."""

from __future__ import annotations

from pathlib import Path

from django.utils.translation import gettext

from chatsite.catalogue import actions as catalogue
from chatsite.terminal import orders
from chatsite.terminal.keyboard import Keyboard, Memory
from chatsite.terminal.orders import Order
from chatsite.terminal.session import Session
from chatsite.terminal.trouble import Trouble


class Dialogue:
    def __init__(self, session: Session) -> None:
        self._session, self._screen = session, session.screen
        self._doing = {
            "help": self._help,
            "model": self._model,
            "models": self._models,
            "system": self._system,
            "set": self._set,
            "retry": self._retry,
            "forget": self._forget,
            "clear": self._clear,
        }

    def run(self, memory: Path) -> None:
        """Until somebody leaves. What was typed is remembered in a file."""
        hint = gettext("Press Ctrl-C once more to leave, or type /bye.")
        keyboard = Keyboard(lambda: self._screen.say("\n" + hint))
        greeting = gettext("%(model)s listens. /help shows what else you can do.")
        self._screen.say(greeting % {"model": self._session.model.name})
        with Memory(memory):
            while (text := keyboard.read()) is not None:
                if not self.take(text):
                    return
        self._screen.say()

    def take(self, text: str) -> bool:
        """Do what was typed; False where somebody says goodbye. A trouble is told, and it goes
        on."""
        try:
            order = orders.parse(text)
            if order is None:
                self._session.ask(orders.plain(text))
                return True
            if order.name == "bye":
                return False
            self._doing[order.name](order)
        except Trouble as trouble:
            self._screen.say(trouble.message)
        except KeyboardInterrupt:
            self._screen.say()
        return True

    def _help(self, _: Order) -> None:
        width = max(len(words) for words, _about in orders.HELP)
        for words, about in orders.HELP:
            self._screen.say(f"  {words:{width}}  {about}")
        self._screen.say(gettext('Three quotes (""") begin and end a text of several lines.'))
        self._screen.say(gettext("Ctrl-C stops an answer."))

    def _model(self, order: Order) -> None:
        if order.rest:
            self._session.choose(order.rest)
        self._screen.say(self._session.model.name)

    def _models(self, _: Order) -> None:
        for model in catalogue.answering_models(self._session.user):
            mark = "*" if model.pk == self._session.model.pk else " "
            self._screen.say(f"{mark} {model.name}  {model.title}".rstrip())

    def _system(self, order: Order) -> None:
        self._session.system = order.rest

    def _set(self, order: Order) -> None:
        if order.rest:
            self._session.set(*orders.setting(order.rest))
        for name, value in sorted(self._session.settings.items()):
            self._screen.say(f"  {name} {value}")

    def _retry(self, _: Order) -> None:
        self._session.retry()

    def _forget(self, order: Order) -> None:
        self._session.forget(orders.count(order.rest))

    def _clear(self, _: Order) -> None:
        self._session.clear()
