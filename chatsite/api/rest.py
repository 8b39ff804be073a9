"""Views that answer at once, with Django REST Framework: the room's authentication and errors."""

from __future__ import annotations

import logging
from typing import Any

from django.http import Http404
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from chatsite.accounts.models import User
from chatsite.api import access, errors
from chatsite.api.access import Caller

log = logging.getLogger(__name__)


class KeyAuthentication(BaseAuthentication):
    """The caller as `request.auth`; a request without one gets no further."""

    def authenticate(self, request: Request) -> tuple[User, Caller]:
        caller = access.identify(request._request)  # noqa: SLF001 - DRF has no other way to it
        return caller.user, caller


class IsCaller(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return isinstance(request.auth, Caller)


class RestView(APIView):
    authentication_classes = [KeyAuthentication]
    permission_classes = [IsCaller]
    renderer_classes = [JSONRenderer]
    parser_classes = [JSONParser]

    def handle_exception(self, exc: Exception) -> Response:
        error = translate(exc, self)
        return Response(error.to_dict(), status=error.status, headers=error.headers)


def translate(exc: Exception, view: APIView) -> errors.ApiError:
    if isinstance(exc, errors.ApiError):
        return exc
    if isinstance(exc, Http404 | exceptions.NotFound):
        return errors.unknown_address(view.request.path)
    if isinstance(exc, exceptions.MethodNotAllowed):
        return errors.wrong_method(view.request.method or "", view.allowed_methods)
    if isinstance(exc, exceptions.APIException) and exc.status_code < 500:
        return errors.ApiError(exc.status_code, None, "The request cannot be read.")
    log.error("A call of the API failed.", exc_info=exc)
    return errors.failed(exc)


def caller_of(request: Request) -> Caller:
    assert isinstance(request.auth, Caller)
    return request.auth


class Nothing(RestView):
    """Every address below /v1 that is none: a program gets the envelope and not a page."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise errors.unknown_address(request.path)
