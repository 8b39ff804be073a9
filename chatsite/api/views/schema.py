"""`GET /v1/schema`, for programs with a key."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from chatsite.api import schema
from chatsite.api.rest import RestView


class Schema(RestView):
    def get(self, request: Request) -> Response:
        return Response(schema.build(request.build_absolute_uri("/")[:-1]))
