"""The reference as a page of the site, and the schema for the same reader. For who is logged in."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from chatsite.accounts.access import person_of
from chatsite.api import reference, schema
from chatsite.catalogue import actions as catalogue

# In samples, where there is no model that the reader may use.
ANY_MODEL = "MODEL"


@require_safe
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    base = request.build_absolute_uri("/v1")
    usable = catalogue.usable_models(person_of(request))
    answering = [model.name for model in usable if "answers" in model.gives]
    context = {
        "base": base,
        "sections": reference.sections(base, answering[0] if answering else ANY_MODEL),
        "failures": reference.failures(),
        "needs_no_key": settings.CHATSITE_LOCAL_OWNER,
    }
    return render(request, "api/reference.html", context)


@require_safe
def document(request: HttpRequest) -> JsonResponse:
    return JsonResponse(schema.build(request.build_absolute_uri("/")[:-1]))
