"""`POST /v1/chat/completions`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from chatsite.api import answers, body, calls, completions, replies, stored
from chatsite.api.access import identify
from chatsite.api.calls import Call
from chatsite.api.chat import ChatBody
from chatsite.api.models import Stored
from chatsite.api.streams import ChatChunks
from chatsite.api.views.calling import CallView
from chatsite.api.views.stored import answer, listed
from chatsite.api.waiting import in_thread
from chatsite.catalogue import actions as catalogue
from chatsite.gateway.models import Generation


class ChatCompletions(CallView[ChatBody]):
    def begin(self, request: HttpRequest) -> tuple[ChatBody, Sequence[Generation]]:
        caller = identify(request)
        asked = body.read(request, ChatBody)
        model = caller.model(asked.model)
        # What is stored comes with its rows; else `start` has a transaction of its own.
        with transaction.atomic() if asked.store else nullcontext():
            sampling = asked.settled(catalogue.usual(model))
            rows = calls.start(caller, model, sampling, asked.n, [asked.asked()])
            if asked.store:
                stored.keep(
                    Stored.Kind.COMPLETION,
                    rows,
                    model=asked.model,
                    asked=completions.asked_of(asked),
                    said=completions.said_of(asked),
                    metadata=asked.metadata,
                )
        return asked, rows

    async def get(self, request: HttpRequest) -> HttpResponseBase:
        return answer(await in_thread(listed, request))

    async def reply(self, call: Call, asked: ChatBody) -> HttpResponseBase:
        created = call.created
        if asked.stream:
            head = answers.head("chat.completion.chunk", call.id, created, asked.model)
            chunks = ChatChunks(
                call=call,
                head=head | asked.told,
                with_usage=asked.usage_wanted,
                with_logprobs=asked.logprobs,
                with_padding=asked.padding_wanted,
                old_calls=asked.old_calls,
            )
            return await replies.stream(chunks)
        saids = await replies.gather(call)
        head = answers.head("chat.completion", call.id, created, asked.model)
        return JsonResponse(
            answers.completion(
                head | asked.told, saids, with_logprobs=asked.logprobs, old_calls=asked.old_calls
            ),
            json_dumps_params={"ensure_ascii": False},
        )
