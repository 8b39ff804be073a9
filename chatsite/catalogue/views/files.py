"""The page on which a model comes from a file: a path on a server, or an upload in pieces."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from chatsite.accounts.access import admin_only, person_of
from chatsite.catalogue import deliveries, troubles
from chatsite.catalogue.errors import PathError, Refused
from chatsite.catalogue.models import Delivery
from chatsite.catalogue.views.adding import machines, refused
from chatsite.gateway.library import LibraryError, uploads

# Bytes of a piece: so much is sent again after a break, and so much is held at once.
PIECE, BITE = 8 << 20, 1 << 18
# Seconds after which an upload that nobody goes on with is thrown away.
FORGOTTEN = 7 * 24 * 3600.0


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
    context = {"nodes": names, "path": path, "node": node, "trouble": trouble}
    context["example"] = "/mnt/stick/model.gguf"
    return render(request, "catalogue/from_file.html", context)


@admin_only
@require_POST
def begin(request: HttpRequest) -> JsonResponse:
    tidy()
    size = request.POST.get("size", "")
    try:
        number = int(size) if size.isascii() and size.isdigit() and len(size) < 19 else 0
        upload = uploads.begin(settings.DATA_DIR, request.POST.get("name", ""), number)
    except LibraryError as error:
        return trouble_of(error)
    return standing(upload)


@admin_only
@require_http_methods(["GET", "HEAD", "PUT", "POST", "DELETE"])
def piece(request: HttpRequest, key: str) -> JsonResponse:
    """Where an upload is; its next piece; its end, which begins the import."""
    try:
        if request.method == "PUT":
            return standing(take(request, key))
        if request.method == "POST":
            return imported(request, key)
        if request.method == "DELETE":
            uploads.abandon(settings.DATA_DIR, key)
            return JsonResponse({})
        return standing(uploads.find(settings.DATA_DIR, key))
    except LibraryError as error:
        return trouble_of(error)


def take(request: HttpRequest, key: str) -> uploads.Upload:
    given = request.GET.get("offset", "")
    offset = int(given) if given.isascii() and given.isdigit() and len(given) < 19 else -1
    return uploads.append(settings.DATA_DIR, key, offset, bites(request))


def bites(request: HttpRequest) -> Iterator[bytes]:
    """A piece as it comes, no more of it than was agreed on."""
    left = PIECE
    while left > 0:
        try:
            data = request.read(min(BITE, left))
        except UnreadablePostError:
            return
        if not data:
            return
        left -= len(data)
        yield data


def imported(request: HttpRequest, key: str) -> JsonResponse:
    path = uploads.finish(settings.DATA_DIR, key)
    try:
        deliveries.begin_import(person_of(request), str(path), node=own_machine())
    except Refused as error:
        messages.info(request, str(error.text))
    else:
        messages.success(request, _("The upload is complete; the import has begun."))
    return JsonResponse({"next": reverse("models")})


def own_machine() -> str:
    """The worker on whose disk the upload lies, where there are several."""
    cards = machines()
    mine = [worker.name for worker, _machine in cards if worker.host == socket.gethostname()]
    return mine[0] if mine and len(cards) > 1 else ""


def tidy() -> None:
    """What was imported, and what nobody goes on with, needs no place any more."""
    for upload in uploads.lying(settings.DATA_DIR, 60):
        rows = Delivery.objects.filter(path=str(upload.path))
        needed = rows.exclude(state=Delivery.State.DONE).exists()
        if rows.exists() and not needed:
            uploads.abandon(settings.DATA_DIR, upload.id)
    for upload in uploads.lying(settings.DATA_DIR, FORGOTTEN):
        if not Delivery.objects.live().filter(path=str(upload.path)).exists():
            uploads.abandon(settings.DATA_DIR, upload.id)


def standing(upload: uploads.Upload) -> JsonResponse:
    return JsonResponse({"id": upload.id, "offset": upload.offset, "piece": PIECE})


def trouble_of(error: LibraryError) -> JsonResponse:
    """In words for the page; a script is told as well where to go on."""
    told = {"kind": error.kind, "text": troubles.explain(error.to_dict())}
    if error.kind == "wrong_place":
        told = {"kind": error.kind, "offset": error.facts["offset"]}
    status = {"no_upload": 404, "wrong_place": 409}.get(error.kind, 400)
    return JsonResponse(told, status=status)
