"""`POST /api/embed`, and `/api/embeddings` as older clients ask."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import ClassVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from chatsite.api import body, calls, embeddings, replies
from chatsite.api.access import identify
from chatsite.api.calls import Call
from chatsite.api.views.calling import CallView
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import Sampling
from chatsite.ollama.embedding import EmbedBody, Embedding, Found, OldBody
from chatsite.ollama.names import find
from chatsite.ollama.views.calling import OllamaView, Timed, reply


class Embed(OllamaView, CallView[Timed[Embedding]]):
    form: ClassVar[type[Embedding]] = EmbedBody

    def begin(self, request: HttpRequest) -> tuple[Timed[Embedding], Sequence[Generation]]:
        began = time.monotonic()
        caller = identify(request)
        asked = body.read(request, self.form)
        model = find(caller, asked.model)
        if not asked.inputs:
            return Timed(asked, began), []
        fields = asked.asked()
        return Timed(asked, began), calls.start(caller, model, Sampling(), 1, [fields])

    async def reply(self, call: Call, asked: Timed[Embedding]) -> HttpResponseBase:
        if not call.choices:
            return reply(asked.asked.answer(Found()))
        found = Found((await replies.gather(call))[0])
        if len(found.vectors) < len(asked.asked.inputs):
            raise embeddings.gone()
        told = asked.asked.answer(found)
        if "embeddings" in told:
            told |= found.figures(asked.began, call.choices[0].loading)
        # Numbers are written slowly, and others must get their turns.
        return await asyncio.to_thread(reply, told)


class OldEmbed(Embed):
    form = OldBody
