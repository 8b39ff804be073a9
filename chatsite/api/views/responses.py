"""`/v1/responses`: make one, read it again or further, cancel it, delete it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from chatsite.accounts.models import User
from chatsite.api import body, calls, paging, stored
from chatsite.api.access import Caller, identify
from chatsite.api.calls import Call
from chatsite.api.errors import ApiError, invalid
from chatsite.api.models import Stored
from chatsite.api.responses import flow, history
from chatsite.api.responses.body import ResponseBody
from chatsite.api.responses.flow import Reading
from chatsite.api.responses.frame import Frame, framed, of_stored
from chatsite.api.responses.items import named
from chatsite.api.views.calling import CallView
from chatsite.api.waiting import WaitingView, in_thread
from chatsite.catalogue import actions as catalogue
from chatsite.gateway import actions as gateway
from chatsite.gateway.models import Generation

RESPONSE = Stored.Kind.RESPONSE


@dataclass(frozen=True, slots=True)
class Wanted:
    body: ResponseBody
    frame: Frame
    owner: User


class Responses(CallView[Wanted]):
    body = ResponseBody

    def begin(self, request: HttpRequest) -> tuple[Wanted, Sequence[Generation]]:
        caller = identify(request)
        asked = body.read(request, ResponseBody)
        rows = start(caller, asked)
        return Wanted(asked, framed(rows[0], asked.told(), asked.include), caller.user), rows

    async def reply(self, call: Call, asked: Wanted) -> HttpResponseBase:
        reading = Reading(call, asked.frame)
        if asked.body.background:
            return in_background(reading, streams=asked.body.stream)
        try:
            if not asked.body.stream:
                return flow.answer(await reading.whole())
            await reading.awaited()
        except ApiError:
            # The caller hears of an error and not of a response.
            await in_thread(forget, asked.owner, reading.events.response["id"])
            raise
        return flow.stream(reading)


def start(caller: Caller, asked: ResponseBody) -> list[Generation]:
    """The generation, and what is kept of it."""
    model = caller.model(asked.model)
    items = history.read(caller.user, asked.input)
    past = history.past(caller.user, asked.previous_response_id, model.name)
    turns = history.messages([*past.items, *items], asked.instructions, past.tokens)
    wanted = {**asked.asked(), "messages": turns}
    with transaction.atomic():
        sampling = asked.settled(catalogue.usual(model))
        rows = calls.start(caller, model, sampling, 1, [wanted])
        if asked.store:
            stored.keep(
                RESPONSE,
                rows,
                model=asked.model,
                asked={**asked.told(), "include": list(asked.include)},
                said=named(items, rows[0].pk.hex),
                metadata=asked.metadata,
                background=asked.background,
                chain=past.chain,
            )
    return rows


def in_background(reading: Reading, *, streams: bool) -> HttpResponseBase:
    """It goes on whoever leaves."""
    reading.call.stops = False
    if streams:
        return flow.stream(reading)
    reading.close()
    return flow.answer(reading.events.response)


def forget(owner: User, id: str) -> None:
    pk = stored.number(RESPONSE, id)
    if found := stored.mine(owner, RESPONSE).filter(pk=pk).first():
        stored.remove(found)


class OneResponse(WaitingView):
    async def get(self, request: HttpRequest, id: str) -> HttpResponseBase:
        streams, after = asked_stream(request)
        if not streams:
            return flow.answer(await in_thread(self.told, request, id))
        kept = await in_thread(self.found, request, id)
        call = await flow.reader(kept.generation)
        return flow.stream(Reading(call, of_stored(kept, included(request)), after))

    async def delete(self, request: HttpRequest, id: str) -> HttpResponseBase:
        def removed() -> None:
            stored.remove(self.found(request, id))

        await in_thread(removed)
        return flow.answer({"id": id, "object": "response", "deleted": True})

    def found(self, request: HttpRequest, id: str) -> Stored:
        return stored.find(identify(request).user, RESPONSE, id)

    def told(self, request: HttpRequest, id: str) -> history.Json:
        kept = self.found(request, id)
        row = stored.current(kept.generation)
        return history.response_of(kept, row, included(request))


class CancelledResponse(WaitingView):
    async def post(self, request: HttpRequest, id: str) -> HttpResponseBase:
        return flow.answer(await in_thread(self.cancelled, request, id))

    def cancelled(self, request: HttpRequest, id: str) -> history.Json:
        kept = stored.find(identify(request).user, RESPONSE, id)
        if not kept.background:
            raise invalid("Only responses with background=true can be cancelled.", "response_id")
        if stored.current(kept.generation).is_live:
            gateway.cancel(kept.generation)
        return history.response_of(kept, stored.current(kept.generation))


class InputItems(WaitingView):
    async def get(self, request: HttpRequest, id: str) -> HttpResponseBase:
        return flow.answer(await in_thread(self.listed, request, id))

    def listed(self, request: HttpRequest, id: str) -> history.Json:
        kept = stored.find(identify(request).user, RESPONSE, id)
        page = paging.asked_page(request, "desc")
        return page.cut(history.input_items(kept))


def asked_stream(request: HttpRequest) -> tuple[bool, int]:
    """Whether a stream is asked for, and after which event."""
    stream, after = request.GET.get("stream", "false"), request.GET.get("starting_after")
    if stream.lower() not in ("true", "false"):
        raise invalid("'stream' is true or false.", "stream")
    if after is None:
        return stream.lower() == "true", -1
    if not after.isdecimal() or len(after) > 18:
        raise invalid("'starting_after' is the number of an event.", "starting_after")
    if stream.lower() != "true":
        raise invalid("'starting_after' needs 'stream' to be true.", "starting_after")
    return True, int(after)


def included(request: HttpRequest) -> list[str]:
    """What is asked beyond what a response tells anyway; log probabilities are told where it was
    made with them."""
    return [*request.GET.getlist("include"), *request.GET.getlist("include[]")]
