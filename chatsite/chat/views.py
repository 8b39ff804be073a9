"""The chat's pages and fragments. A view reads the request, calls one action, and renders."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import ObjectDoesNotExist
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from chatsite.accounts.access import person_of
from chatsite.accounts.models import User
from chatsite.catalogue import actions as catalogue
from chatsite.catalogue import aliases
from chatsite.chat import actions, forms, refusals, search, sidebar, thread
from chatsite.chat.models import Conversation

View = Callable[..., HttpResponse]


def answering(view: View) -> View:
    """Refusals become JSON with our words; what is not there, or another's, is 404."""

    @never_cache
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except refusals.Refusal as refusal:
            return JsonResponse(refusal.as_dict(), status=refusal.status)
        except OperationalError as error:
            trouble = refusals.storage(error)
            return JsonResponse(trouble.as_dict(), status=trouble.status)
        except ObjectDoesNotExist:
            raise Http404 from None

    return guarded


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Ollama's clients ask for its head first, to see whether anybody is there."""
    return HttpResponse() if request.method == "HEAD" else redirect("chat")


@require_safe
@never_cache
def page(request: HttpRequest, pk: UUID | None = None) -> HttpResponse:
    conversation = _conversation(request, pk) if pk else None
    context = {
        **_thread(conversation),
        **_panel(request, conversation),
        **_list(person_of(request), pk),
    }
    return render(request, "chat/page.html", context)


@require_GET
@answering
def earlier(request: HttpRequest, pk: UUID) -> HttpResponse:
    conversation = _conversation(request, pk)
    shown = thread.earlier(conversation, forms.read_id(request.GET, "before"))
    context = {"conversation": conversation, "turns": shown.turns, "earlier": shown.earlier}
    return render(request, "chat/_turns.html", context)


@require_GET
@answering
def tail(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _answer_thread(request, _conversation(request, pk))


@require_GET
@answering
def side(request: HttpRequest) -> HttpResponse:
    return _answer_list(request)


@require_POST
@answering
def send(request: HttpRequest) -> HttpResponse:
    draft = forms.read_draft(request.POST)
    known = request.POST.get("conversation")
    pk = forms.read_uuid(request.POST, "conversation") if known else None
    said = actions.say(person_of(request), pk, draft)
    shown = thread.turns(said.conversation, [said.question.pk, said.answer.pk])
    context = {"conversation": said.conversation, "turns": shown, "is_new": pk is None}
    response = render(request, "chat/_sent.html", context)
    if pk is None:
        response["HX-Push-Url"] = reverse("conversation", args=[said.conversation.pk])
    return response


@require_POST
@answering
def edit(request: HttpRequest, pk: UUID) -> HttpResponse:
    message, draft = forms.read_id(request.POST, "message"), forms.read_draft(request.POST)
    said = actions.edit(person_of(request), pk, message, draft)
    return _answer_thread(request, said.conversation)


@require_POST
@answering
def regenerate(request: HttpRequest, pk: UUID) -> HttpResponse:
    message, draft = forms.read_id(request.POST, "message"), forms.read_retry(request.POST)
    drop_oldest = request.POST.get("drop_oldest", "") not in ("", "0", "false")
    said = actions.regenerate(person_of(request), pk, message, draft, drop_oldest=drop_oldest)
    return _answer_thread(request, said.conversation)


@require_POST
@answering
def branch(request: HttpRequest, pk: UUID) -> HttpResponse:
    message = forms.read_id(request.POST, "message")
    return _answer_thread(request, actions.branch(person_of(request), pk, message))


@require_POST
@answering
def settings(request: HttpRequest, pk: UUID) -> HttpResponse:
    model, panel = forms.read_model(request.POST), forms.read_panel(request.POST)
    conversation = actions.update_settings(person_of(request), pk, model, panel)
    return render(request, "chat/_panel.html", _panel(request, conversation))


@require_POST
@answering
def rename(request: HttpRequest, pk: UUID) -> HttpResponse:
    actions.rename(person_of(request), pk, forms.read_title(request.POST))
    return _answer_list(request)


@require_POST
@answering
def delete(request: HttpRequest, pk: UUID) -> HttpResponse:
    actions.delete(person_of(request), pk)
    return _answer_list(request)


@require_POST
@answering
def restore(request: HttpRequest, pk: UUID) -> HttpResponse:
    actions.restore(person_of(request), pk)
    return _answer_list(request)


def _conversation(request: HttpRequest, pk: UUID) -> Conversation:
    return get_object_or_404(Conversation, pk=pk, owner=person_of(request), deleted=None)


def _answer_thread(request: HttpRequest, conversation: Conversation) -> HttpResponse:
    return render(request, "chat/_thread.html", _thread(conversation))


def _answer_list(request: HttpRequest) -> HttpResponse:
    """The list, its next page, or what a search found, as the request asks for it."""
    fields = request.POST if request.method == "POST" else request.GET
    known = fields.get("current")
    current = forms.read_uuid(fields, "current") if known else None
    after = forms.read_cursor(fields)
    query = fields.get("q", "").strip()[: search.LONGEST_QUERY]
    return render(request, "chat/_sidebar.html", _list(person_of(request), current, query, after))


def _thread(conversation: Conversation | None) -> dict[str, Any]:
    shown = thread.tail(conversation) if conversation else thread.Thread([], None)
    return {"conversation": conversation, "turns": shown.turns, "earlier": shown.earlier}


def _list(
    owner: User, current: UUID | None, query: str = "", after: sidebar.Cursor | None = None
) -> dict[str, Any]:
    if query:
        return {"query": query, "results": search.find(owner, query), "groups": [], "more": ""}
    shown = sidebar.load(owner, current, after)
    return {"query": "", "results": [], "groups": shown.groups, "more": shown.more}


def _panel(request: HttpRequest, conversation: Conversation | None) -> dict[str, Any]:
    """The model picker and the side panel: of this conversation, or for a new one."""
    owner = person_of(request)
    models = catalogue.answering_models(owner)
    choices: list[dict[str, Any]] = [
        {
            "name": m.name,
            "title": str(m),
            "description": m.about,
            "available": True,
            "away": m.provider is not None,
        }
        for m in models
    ]
    names = [choice["name"] for choice in choices]
    asked = request.GET.get("model", "")
    model = conversation.model if conversation else asked or _last_model(owner)
    if renamed := aliases.pick(models, [model]):
        model = renamed.name
    if conversation is None and model not in names:
        model = next(iter(names), "")
    elif model and model not in names:
        missing = {"name": model, "title": model, "description": "", "available": False}
        choices.append(missing)
    chosen = aliases.pick(models, [model])
    return {
        "conversation": conversation,
        "models": choices,
        "model": model,
        "panel": forms.panel_of(conversation.settings if conversation else {}),
        "panel_defaults": forms.panel_defaults(catalogue.usual(chosen) if chosen else {}),
    }


def _last_model(owner: User) -> str:
    """What this person talked to last is the best guess for a new conversation."""
    recent = Conversation.objects.filter(owner=owner, deleted=None).order_by("-updated")
    return recent.values_list("model", flat=True).first() or ""
