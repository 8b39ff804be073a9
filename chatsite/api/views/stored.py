"""`GET /v1/chat/completions` and what is below it: completions that were asked to be stored."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from pydantic import model_validator

from chatsite.api import body, completions, paging, stored
from chatsite.api.access import identify
from chatsite.api.answers import Json
from chatsite.api.body import Part
from chatsite.api.models import Stored
from chatsite.api.responses.body import Metadata
from chatsite.api.waiting import WaitingView, in_thread

COMPLETION = Stored.Kind.COMPLETION


class MetadataBody(Part):
    metadata: Metadata

    @model_validator(mode="before")
    @classmethod
    def without_nulls(cls, data: Any) -> Any:
        """Null is no metadata."""
        if isinstance(data, dict) and "metadata" in data:
            return {**data, "metadata": {} if data["metadata"] is None else data["metadata"]}
        return data


def listed(request: HttpRequest) -> Json:
    """A page of this person's completions."""
    owner = identify(request).user
    page = paging.asked_page(request, "asc")
    wanted = {
        name[len("metadata[") : -1]: str(value)
        for name, value in request.GET.items()
        if name.startswith("metadata[") and name.endswith("]")
    }
    found = stored.completions(owner, page, request.GET.get("model", ""), wanted)
    return page.listed(found, lambda each: completions.completion(*each))


class OneCompletion(WaitingView):
    body = MetadataBody

    async def get(self, request: HttpRequest, id: str) -> HttpResponseBase:
        return answer(await in_thread(self.told, request, id))

    async def post(self, request: HttpRequest, id: str) -> HttpResponseBase:
        return answer(await in_thread(self.described, request, id))

    async def delete(self, request: HttpRequest, id: str) -> HttpResponseBase:
        def removed() -> None:
            stored.remove(stored.find(identify(request).user, COMPLETION, id))

        await in_thread(removed)
        return answer({"id": id, "object": "chat.completion.deleted", "deleted": True})

    def told(self, request: HttpRequest, id: str) -> Json:
        return completions.completion(*stored.completion(identify(request).user, id))

    def described(self, request: HttpRequest, id: str) -> Json:
        kept, rows = stored.completion(identify(request).user, id)
        asked = body.read(request, MetadataBody)
        stored.describe(kept, asked.metadata)
        return completions.completion(kept, rows)


class CompletionMessages(WaitingView):
    async def get(self, request: HttpRequest, id: str) -> HttpResponseBase:
        return answer(await in_thread(self.listed, request, id))

    def listed(self, request: HttpRequest, id: str) -> Json:
        kept, _ = stored.completion(identify(request).user, id)
        return paging.asked_page(request, "asc").cut(completions.messages(kept))


def answer(data: Json) -> JsonResponse:
    return JsonResponse(data, json_dumps_params={"ensure_ascii": False})
