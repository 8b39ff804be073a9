"""The addresses of the API. Sessions and form tokens mean nothing here: a key does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.urls import URLPattern, path, register_converter
from django.urls.converters import StringConverter
from django.views.decorators.csrf import csrf_exempt

from chatsite.api.rest import Nothing
from chatsite.api.views.chat import ChatCompletions
from chatsite.api.views.embeddings import Embeddings
from chatsite.api.views.models import Models, OneModel
from chatsite.api.views.responses import CancelledResponse, InputItems, OneResponse, Responses
from chatsite.api.views.schema import Schema
from chatsite.api.views.stored import CompletionMessages, OneCompletion
from chatsite.api.views.texts import Completions
from chatsite.api.views.tokens import Detokenize, Tokenize


class Rest(StringConverter):
    """All that may follow, line breaks as well: below an API's address nothing is a page."""

    regex = r"[\s\S]+"


register_converter(Rest, "rest")


def keyed(address: str, view: Callable[..., Any], name: str) -> URLPattern:
    """An address for programs: the view itself asks for a key, whatever the method."""
    return path(address, csrf_exempt(login_not_required(view)), name=name)


urlpatterns = [
    keyed("v1/models", Models.as_view(), "v1-models"),
    keyed("v1/models/<path:name>", OneModel.as_view(), "v1-model"),
    keyed("v1/chat/completions", ChatCompletions.as_view(), "v1-chat-completions"),
    keyed("v1/chat/completions/<str:id>", OneCompletion.as_view(), "v1-chat-completion"),
    keyed(
        "v1/chat/completions/<str:id>/messages",
        CompletionMessages.as_view(),
        "v1-chat-completion-messages",
    ),
    keyed("v1/responses", Responses.as_view(), "v1-responses"),
    keyed("v1/responses/<str:id>", OneResponse.as_view(), "v1-response"),
    keyed("v1/responses/<str:id>/cancel", CancelledResponse.as_view(), "v1-response-cancel"),
    keyed("v1/responses/<str:id>/input_items", InputItems.as_view(), "v1-response-input-items"),
    keyed("v1/completions", Completions.as_view(), "v1-completions"),
    keyed("v1/embeddings", Embeddings.as_view(), "v1-embeddings"),
    keyed("v1/tokenize", Tokenize.as_view(), "v1-tokenize"),
    keyed("v1/detokenize", Detokenize.as_view(), "v1-detokenize"),
    keyed("v1/schema", Schema.as_view(), "v1-schema"),
    keyed("v1/<rest:rest>", Nothing.as_view(), "v1-nothing"),
    keyed("v1/", Nothing.as_view(), "v1-root"),
]
