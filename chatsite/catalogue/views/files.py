"""The page on which a model comes from a file: a path on a server, or an upload in pieces."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from chatsite.accounts.access import admin_only, person_of
from chatsite.catalogue import deliveries
from chatsite.catalogue.errors import PathError, Refused
from chatsite.catalogue.views.adding import machines, refused


@admin_only
@require_http_methods(["GET", "HEAD", "POST"])
def from_file(request: HttpRequest) -> HttpResponse:
    names = [worker.name for worker, _machine in machines()]
    path, node = request.POST.get("path", "").strip(), request.POST.get("node", "")
    trouble = ""
    if request.method == "POST":
        try:
            # One machine needs no choice; an unknown one would wait for ever.
            chosen = node if node in names and len(names) > 1 else ""
            deliveries.begin_import(person_of(request), path, node=chosen)
        except PathError as error:
            trouble = str(error.text)
        except Refused as error:
            return refused(request, error)
        else:
            messages.success(request, _("The import has begun."))
            return redirect("models")
    context = {
        "example": "/mnt/stick/model.gguf",
        "nodes": names,
        "path": path,
        "node": node,
        "trouble": trouble,
    }
    return render(request, "catalogue/from_file.html", context)
