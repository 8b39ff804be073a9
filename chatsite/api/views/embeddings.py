"""`POST /v1/embeddings`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from chatsite.api import body, calls, embeddings, replies
from chatsite.api.access import identify
from chatsite.api.calls import Call
from chatsite.api.embeddings import EmbeddingBody
from chatsite.api.views.calling import CallView
from chatsite.gateway.models import Generation


class Embeddings(CallView[EmbeddingBody]):
    def begin(self, request: HttpRequest) -> tuple[EmbeddingBody, Sequence[Generation]]:
        caller = identify(request)
        asked = body.read(request, EmbeddingBody)
        model = caller.model(asked.model)
        return asked, calls.start(caller, model, asked.sampling(), 1, [asked.asked()])

    async def reply(self, call: Call, asked: EmbeddingBody) -> HttpResponseBase:
        (said,) = await replies.gather(call)
        if len(said.vectors) < len(asked.input):
            raise embeddings.gone()
        data = await asyncio.to_thread(embeddings.render, said, asked)
        return HttpResponse(data, content_type="application/json")
