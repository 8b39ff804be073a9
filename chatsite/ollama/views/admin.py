"""What changes the catalogue: for an admin with a key, never for the owner of this machine without
one."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase

from chatsite.accounts.models import User
from chatsite.api import body
from chatsite.api.access import identify
from chatsite.api.errors import ApiError
from chatsite.api.waiting import in_thread
from chatsite.catalogue import actions, aliases, library
from chatsite.catalogue.errors import HereAlreadyError, UnderwayError
from chatsite.catalogue.models import Delivery, Model
from chatsite.gateway.library import LibraryError
from chatsite.ollama import pulling
from chatsite.ollama.names import LATEST, unknown, wanted
from chatsite.ollama.streams import LINES, line
from chatsite.ollama.views.calling import OllamaView, reply
from chatsite.ollama.views.models import NameBody


class PullBody(NameBody):
    stream: bool = True


class Pull(OllamaView):
    """`POST /api/pull`. A model that is here already is done at once."""

    async def post(self, request: HttpRequest) -> HttpResponseBase:
        asked, pk = await in_thread(pull, request)
        if not asked.stream:
            row = await pulling.whole(pk) if pk else None
            failed = row is not None and row.state != Delivery.State.DONE
            return reply(pulling.end(row), 500) if failed and row else reply(pulling.DONE)
        if pk is None:
            both = line(pulling.BEGUN) + line(pulling.DONE)
            return HttpResponse(both, content_type=LINES)
        quick = {"X-Accel-Buffering": "no"}
        return StreamingHttpResponse(pulling.lines(pk), content_type=LINES, headers=quick)


class Delete(OllamaView):
    """`DELETE /api/delete`. The entry goes, and what came through the library leaves the disk."""

    async def delete(self, request: HttpRequest) -> HttpResponseBase:
        await in_thread(delete, request)
        return HttpResponse()


def check(request: HttpRequest) -> User:
    """An admin with a key of their own, and one that is not made for some models only."""
    caller = identify(request)
    if caller.key is None or not caller.user.is_staff or caller.key.allowed:
        message = (
            "This needs the API key of an admin, one that opens all models. "
            "Being on the same machine is not enough for it."
        )
        raise ApiError(403, "admin_only", message)
    return caller.user


def pull(request: HttpRequest) -> tuple[PullBody, UUID | None]:
    """The delivery to follow; None where the model is here."""
    user = check(request)
    asked = body.read(request, PullBody)
    if entry(asked.model) is not None:
        return asked, None
    # Under the name by which it was pulled, programs ask for it.
    about = {"aliases": [asked.model]}
    try:
        return asked, library.pull(user, asked.model.removesuffix(LATEST), about).pk
    except HereAlreadyError as here:
        actions.call(here.model, asked.model)
        return asked, None
    except UnderwayError as underway:
        return asked, underway.delivery
    except LibraryError as error:
        raise pulling.refused(error) from None


def delete(request: HttpRequest) -> None:
    user = check(request)
    name = body.read(request, NameBody).model
    found = entry(name)
    if found is None:
        raise unknown(name)
    if found.name in wanted(name) or is_pulled_as(found, name):
        actions.remove(found, user)
    else:
        # Only this name was asked to go: the model has others.
        actions.uncall(wanted(name))


def is_pulled_as(model: Model, name: str) -> bool:
    """Whether the name is the place that the model came from."""
    try:
        return bool(model.repo) and library.parse(name.removesuffix(LATEST)).repo == model.repo
    except LibraryError:
        return False


def entry(name: str) -> Model | None:
    """Also one that is switched off, and by any of its names."""
    found = (aliases.find(each) for each in wanted(name))
    return next((model for model in found if model), None)
