"""`GET /v1/models` and `GET /v1/models/{id}`."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from chatsite.api.rest import RestView, caller_of
from chatsite.catalogue.models import Model


class Models(RestView):
    def get(self, request: Request) -> Response:
        models = [described(model) for model in caller_of(request).models()]
        return Response({"object": "list", "data": models})


class OneModel(RestView):
    def get(self, request: Request, name: str) -> Response:
        return Response(described(caller_of(request).model(name)))


def described(model: Model) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": int(model.created.timestamp()),
        "owned_by": model.provider.name if model.provider else "chatsite",
    }
