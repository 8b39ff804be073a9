"""What changes the catalogue: for an admin with a key, never for the owner of this machine without
one."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from chatsite.api import body
from chatsite.api.access import identify
from chatsite.api.errors import ApiError
from chatsite.api.waiting import in_thread
from chatsite.catalogue import actions
from chatsite.catalogue.models import Model
from chatsite.ollama.names import unknown, wanted
from chatsite.ollama.streams import LINES, line
from chatsite.ollama.views.calling import OllamaView, reply
from chatsite.ollama.views.models import NameBody

DONE = {"status": "success"}


class PullBody(NameBody):
    stream: bool = True


class Pull(OllamaView):
    """`POST /api/pull`. A model that is here already is done at once."""

    async def post(self, request: HttpRequest) -> HttpResponseBase:
        asked = await in_thread(pull, request)
        if not asked.stream:
            return reply(DONE)
        return HttpResponse(line({"status": "pulling manifest"}) + line(DONE), content_type=LINES)


class Delete(OllamaView):
    """`DELETE /api/delete`. The entry goes; a file of weights stays where it is."""

    async def delete(self, request: HttpRequest) -> HttpResponseBase:
        await in_thread(delete, request)
        return HttpResponse()


def check(request: HttpRequest) -> None:
    """An admin's own key, and one that is not made for some models only."""
    caller = identify(request)
    if caller.key is None or not caller.user.is_staff or caller.key.allowed:
        message = (
            "This needs the API key of an admin, one that opens all models. "
            "Being on the same machine is not enough for it."
        )
        raise ApiError(403, "admin_only", message)


def pull(request: HttpRequest) -> PullBody:
    check(request)
    asked = body.read(request, PullBody)
    if entry(asked.model) is None:
        message = (
            f"pull model manifest: '{asked.model[:200]}' is not on this site, and this call cannot "
            "download models yet. An admin adds a model file that is on the server at /admin/."
        )
        raise ApiError(404, "model_not_found", message)
    return asked


def delete(request: HttpRequest) -> None:
    check(request)
    name = body.read(request, NameBody).model
    found = entry(name)
    if found is None:
        raise unknown(name)
    actions.remove(found)


def entry(name: str) -> Model | None:
    """Also one that is switched off."""
    return Model.objects.filter(name__in=wanted(name)).order_by("-name").first()
