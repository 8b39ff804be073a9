"""A conversation on the command line: what was said, to which model, with which settings. It keeps
nothing when it ends."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from django.utils.translation import gettext

from chatsite.accounts.models import User
from chatsite.api import calls
from chatsite.api.access import Caller
from chatsite.api.errors import ApiError
from chatsite.catalogue import actions as catalogue
from chatsite.catalogue import aliases
from chatsite.catalogue.models import Model
from chatsite.gateway.errors import explain
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import Message, Sampling
from chatsite.terminal.listening import Heard, hear
from chatsite.terminal.orders import THINK
from chatsite.terminal.screen import Screen
from chatsite.terminal.trouble import Trouble


@dataclass(slots=True)
class Session:
    user: User
    model: Model
    screen: Screen
    # None: the model's own, as an admin has published it.
    system: str | None = None
    settings: dict[str, float | bool] = field(default_factory=dict)
    # Questions with their answers, in pairs.
    said: list[tuple[Message, Message]] = field(default_factory=list)
    # What was asked last, also where no answer came.
    question: str = ""

    def ask(self, text: str) -> Heard:
        """Say something and show the answer."""
        self.question = text = storable(text)
        question = Message("user", text)
        heard = hear(self._start([*self._told(), question]), self.screen)
        if heard.text:
            # With reasoning before it, the text alone is not what the tokens spell.
            tokens = () if heard.reasoning else tuple(heard.tokens)
            self.said.append((question, Message("assistant", heard.text, tokens=tokens)))
        if heard.end and heard.end.finish.error:
            raise Trouble("failed", explain(heard.end.finish.error))
        return heard

    def retry(self) -> None:
        """Another answer to the same."""
        if not self.question:
            raise Trouble("nothing", gettext("Nothing has been said yet."))
        if self.said and self.said[-1][0].content == self.question:
            self.said.pop()
        self.ask(self.question)

    def forget(self, count: int) -> None:
        del self.said[:count]

    def clear(self) -> None:
        self.said.clear()
        self.question = ""

    def choose(self, name: str) -> None:
        """Talk to another model from here on. What the old one wrote stays, as text."""
        self.model = find(self.user, name)
        self.said = [(question, replace(answer, tokens=())) for question, answer in self.said]

    def set(self, name: str, value: float | bool | None) -> None:
        if value is None:
            self.settings.pop(name, None)
        else:
            self.settings[name] = value

    def _told(self) -> list[Message]:
        return [*self._system(), *(message for pair in self.said for message in pair)]

    def _system(self) -> list[Message]:
        if self.system:
            return [Message("system", storable(self.system))]
        if self.system is None and self.model.system_prompt:
            return [Message("system", self.model.system_prompt, published=True)]
        return []

    def _start(self, messages: list[Message]) -> Generation:
        settings: dict[str, Any] = dict(self.settings)
        think = settings.pop(THINK, None)
        told = {} if think is None else {"enable_thinking": think, "thinking": think}
        asked = {"messages": messages, "template_kwargs": told}
        try:
            sampling = replace(Sampling(), **{**catalogue.usual(self.model), **settings})
            return calls.start(Caller(self.user), self.model, sampling, 1, [asked])[0]
        except ApiError as error:
            raise Trouble("refused", error.message) from None


def storable(text: str) -> str:
    """Half characters and NULs can neither be stored nor sent on."""
    return text.encode(errors="replace").decode().replace("\0", "")


def find(user: User, name: str = "") -> Model:
    """The model of this name, the first one where there is no name."""
    models = catalogue.answering_models(user)
    if not models:
        raise Trouble("no_model", gettext("There is no model to talk to yet."))
    if not name:
        return models[0]
    found = aliases.pick(models, [name, name.removesuffix(":latest")])
    if found is None:
        message = gettext("There is no model named %(name)s. There are: %(names)s.")
        names = ", ".join(model.name for model in models)
        raise Trouble("no_model", message % {"name": name[:200], "names": names})
    return found
