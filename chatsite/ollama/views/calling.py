"""What all addresses of the dialect share: errors in Ollama's shape, and the two that generate."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from chatsite.api import body, calls, replies
from chatsite.api.access import identify
from chatsite.api.answers import Json
from chatsite.api.calls import Call
from chatsite.api.errors import ApiError
from chatsite.api.views.calling import CallView
from chatsite.api.waiting import WaitingView
from chatsite.catalogue import actions as catalogue
from chatsite.catalogue.models import Model
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import Sampling
from chatsite.ollama import streams
from chatsite.ollama.answers import Answer, ChatAnswer, RawAnswer, TextAnswer, head
from chatsite.ollama.bodies import Asked, ChatBody, TextBody
from chatsite.ollama.names import find


class OllamaView(WaitingView):
    def refuse(self, error: ApiError) -> HttpResponseBase:
        answer = reply({"error": error.message}, error.status)
        for name, value in error.headers.items():
            answer.headers[name] = value
        return answer


def reply(data: Json, status: int = 200) -> HttpResponse:
    text = json.dumps(data, ensure_ascii=False)
    return HttpResponse(text, status=status, content_type="application/json; charset=utf-8")


# What the engine room calls the options that have another name here.
OURS = {"repeat_penalty": "repetition_penalty", "num_predict": "max_tokens"}
Form = TypeVar("Form")
AskedBody = TypeVar("AskedBody", bound=Asked)


@dataclass(frozen=True, slots=True)
class Timed(Generic[Form]):
    asked: Form
    # time.monotonic() when the request came.
    began: float


class GeneratingView(OllamaView, CallView[Timed[AskedBody]], Generic[AskedBody]):
    """A POST whose answer is generated. One that says nothing loads the model with a single
    token."""

    form: ClassVar[type[Any]]
    # What stands where nothing was said.
    silent: ClassVar[Json]

    def begin(self, request: HttpRequest) -> tuple[Timed[AskedBody], Sequence[Generation]]:
        began = time.monotonic()
        caller = identify(request)
        asked: AskedBody = body.read(request, self.form)
        model = find(caller, asked.model)
        if asked.lets_go:
            # Models are shared: they go when somebody else's need their memory.
            return Timed(asked, began), []
        sampling, fields = wanted(asked, model)
        return Timed(asked, began), calls.start(caller, model, sampling, 1, [fields])

    async def reply(self, call: Call, asked: Timed[AskedBody]) -> HttpResponseBase:
        wish = asked.asked
        if not call.choices:
            return reply(self.nothing(wish, "unload"))
        if wish.is_empty:
            await replies.gather(call)
            return reply(self.nothing(wish, "load"))
        answer = self.answer(call, asked)
        if wish.stream:
            return await streams.stream(call, answer)
        answer.said = (await replies.gather(call))[0]
        return reply(answer.whole())

    def answer(self, call: Call, asked: Timed[AskedBody]) -> Answer:
        raise NotImplementedError

    def nothing(self, asked: AskedBody, reason: str) -> Json:
        return {**head(asked.model), **self.silent, "done": True, "done_reason": reason}


def wanted(asked: Asked, model: Model) -> tuple[Sampling, dict[str, Any]]:
    if asked.is_empty:
        return Sampling(max_tokens=1), {"prompt": "\n"}
    given = {OURS.get(name, name) for name in asked.options.model_fields_set}
    unset = {name: v for name, v in catalogue.usual(model).items() if name not in given}
    return replace(asked.sampling(), **unset), asked.asked(model)


class Chat(GeneratingView[ChatBody]):
    """`POST /api/chat`."""

    form = ChatBody
    silent = {"message": {"role": "assistant", "content": ""}}

    def answer(self, call: Call, asked: Timed[ChatBody]) -> Answer:
        return ChatAnswer(model=asked.asked.model, choice=call.choices[0], began=asked.began)


class Generate(GeneratingView[TextBody]):
    """`POST /api/generate`."""

    form = TextBody
    silent = {"response": ""}

    def answer(self, call: Call, asked: Timed[TextBody]) -> Answer:
        kind = RawAnswer if asked.asked.raw else TextAnswer
        return kind(model=asked.asked.model, choice=call.choices[0], began=asked.began)
