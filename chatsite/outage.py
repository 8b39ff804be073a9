"""While the database or the broker does not answer, that is said, with 503: nothing of ours broke,
and the same request goes through when they are back."""

from __future__ import annotations

import sys

import redis
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext
from django.views.defaults import server_error

from chatsite.databases import disk_is_full

# What the drivers raise where nobody answers, and for nothing that a view did wrong.
AWAY = (OperationalError, InterfaceError, redis.ConnectionError, redis.TimeoutError)
# Seconds; what restarts is back after as many.
RETRY = 5


def answer(request: HttpRequest) -> HttpResponse:
    """Django's handler of what nobody caught, called while that is being handled."""
    error = sys.exception()
    if not isinstance(error, AWAY):
        return server_error(request)
    full = disk_is_full(error)
    if request.headers.get("HX-Request"):
        message = gettext("The site cannot reach its database just now. Try again in a moment.")
        if full:
            message = gettext(
                "The disk of the server is full. Free some space or tell your admin, then try "
                "again."
            )
        told = {"error": {"kind": "storage_full" if full else "outage", "message": message}}
        response: HttpResponse = JsonResponse(told, status=503)
    else:
        # Without the request: what templates are given with it asks the database.
        response = HttpResponse(render_to_string("503.html", {"full": full}), status=503)
    response.headers["Retry-After"] = str(RETRY)
    return response
