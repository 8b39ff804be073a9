"""`POST /v1/completions`."""

from __future__ import annotations

from collections.abc import Sequence

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from chatsite.api import body, calls, replies, texts
from chatsite.api.access import identify
from chatsite.api.calls import Call
from chatsite.api.texts import TextBody, TextChunks
from chatsite.api.views.calling import CallView
from chatsite.catalogue import actions as catalogue
from chatsite.gateway.models import Generation


class Completions(CallView[TextBody]):
    def begin(self, request: HttpRequest) -> tuple[TextBody, Sequence[Generation]]:
        caller = identify(request)
        asked = body.read(request, TextBody)
        model = caller.model(asked.model)
        sampling = asked.settled(catalogue.usual(model))
        return asked, calls.start(caller, model, sampling, asked.n, asked.asked())

    async def reply(self, call: Call, asked: TextBody) -> HttpResponseBase:
        head = texts.head(call.id, call.created, asked.model)
        if asked.stream:
            chunks = TextChunks(
                call=call,
                head=head,
                with_usage=asked.usage_wanted,
                prompts=len(asked.prompt),
                asked=asked,
            )
            return await replies.stream(chunks)
        saids = await replies.gather(call)
        return JsonResponse(
            texts.completion(head, saids, asked), json_dumps_params={"ensure_ascii": False}
        )
