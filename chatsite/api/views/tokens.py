"""`POST /v1/tokenize` and `POST /v1/detokenize`."""

from __future__ import annotations

from typing import ClassVar

import redis
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from chatsite.api import body, errors
from chatsite.api.access import identify
from chatsite.api.tokens import DetokenizeBody, TokenBody, TokenizeBody
from chatsite.api.waiting import WaitingView, in_thread
from chatsite.catalogue import actions as catalogue
from chatsite.gateway import tasks
from chatsite.gateway.nouns import Request


class TaskView(WaitingView):
    """A question that the model's engine answers."""

    body: ClassVar[type[TokenBody]]

    async def post(self, request: HttpRequest) -> HttpResponseBase:
        asked, put = await in_thread(self.begin, request)
        try:
            end = await tasks.hear(put)
        except (TimeoutError, redis.RedisError):
            raise errors.unreachable() from None
        if end.finish.error:
            raise errors.from_engine(end.finish.error)
        return JsonResponse(asked.answer(end), json_dumps_params={"ensure_ascii": False})

    def begin(self, request: HttpRequest) -> tuple[TokenBody, Request]:
        caller = identify(request)
        asked = body.read(request, self.body)
        spec = catalogue.spec(caller.model(asked.model))
        try:
            return asked, tasks.put(caller.user, spec, asked.task(), **asked.fields())
        except tasks.CrowdError:
            raise errors.overloaded() from None
        except redis.RedisError:
            raise errors.unreachable() from None


class Tokenize(TaskView):
    body = TokenizeBody


class Detokenize(TaskView):
    body = DetokenizeBody
