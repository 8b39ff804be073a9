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

# In samples, where the reader may use no model that gives it.
ANY = {"answers": "MODEL", "vectors": "EMBEDDING_MODEL"}


@require_safe
@never_cache
def page(request: HttpRequest) -> HttpResponse:
    base = request.build_absolute_uri("/v1")
    usable = catalogue.usable_models(person_of(request))
    # The first of each kind: a new conversation begins with it, too. Of a model elsewhere nobody
    # knows whether it gives vectors.
    known = {
        wanted: model.name
        for model in reversed(usable)
        for wanted in model.gives
        if wanted == "answers" or len(model.gives) == 1
    }
    context = {
        "base": base,
        "sections": reference.sections(base, ANY | known),
        "failures": reference.failures(),
        "needs_no_key": settings.CHATSITE_LOCAL_OWNER,
    }
    return render(request, "api/reference.html", context)


@require_safe
def document(request: HttpRequest) -> JsonResponse:
    return JsonResponse(schema.build(request.build_absolute_uri("/")[:-1]))
