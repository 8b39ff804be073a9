"""What there is: the list, one model, what is loaded, and the version."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from pydantic import model_validator

from chatsite.api import body, errors
from chatsite.api.access import identify
from chatsite.api.answers import Json
from chatsite.api.waiting import in_thread
from chatsite.gateway import engines
from chatsite.ollama import listing
from chatsite.ollama.loose import Loose, Name
from chatsite.ollama.names import find
from chatsite.ollama.views.calling import OllamaView, reply

# Of Ollama: clients decide by it what they may ask for, and this is what is understood here.
VERSION = "0.12.11"


class NameBody(Loose):
    """A model, in Ollama's newer word or in its older."""

    model: Name

    @model_validator(mode="before")
    @classmethod
    def newer(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("model") and data.get("name"):
            return {**data, "model": data["name"]}
        return data


class Version(OllamaView):
    async def get(self, request: HttpRequest) -> HttpResponseBase:
        await in_thread(identify, request)
        return reply({"version": VERSION})


class Tags(OllamaView):
    async def get(self, request: HttpRequest) -> HttpResponseBase:
        return reply({"models": await in_thread(tags, request)})


class Ps(OllamaView):
    async def get(self, request: HttpRequest) -> HttpResponseBase:
        return reply({"models": await in_thread(running, request)})


class Show(OllamaView):
    async def post(self, request: HttpRequest) -> HttpResponseBase:
        return reply(await in_thread(show, request))


class Nothing(OllamaView):
    """Every address below /api that is none: a program gets an error and not a page."""

    # Any other comes to the same.
    http_method_names = ["get"]

    async def get(self, request: HttpRequest, **_: Any) -> HttpResponseBase:
        await in_thread(identify, request)
        raise errors.unknown_address(request.path)

    async def http_method_not_allowed(  # type: ignore[override]
        self, request: HttpRequest, *args: Any, **kwargs: Any
    ) -> HttpResponseBase:
        return await self.get(request)


def tags(request: HttpRequest) -> list[Json]:
    newest_first = sorted(identify(request).models(), key=lambda model: model.created, reverse=True)
    return [listing.tag(model) for model in newest_first]


def running(request: HttpRequest) -> list[Json]:
    models = identify(request).models()
    room = engines.look()
    if room is None:
        raise errors.unreachable()
    told = [listing.loaded(model, room.engines) for model in models]
    return [each for each in told if each]


def show(request: HttpRequest) -> Json:
    caller = identify(request)
    model = find(caller, body.read(request, NameBody).model)
    room = engines.look()
    return listing.shown(model, listing.length(model, room.engines if room else ()))
