"""The addresses of Ollama's API. As at `/v1`, a key counts and no session does."""

from __future__ import annotations

from chatsite.api.urls import keyed
from chatsite.ollama.views.admin import Delete, Pull
from chatsite.ollama.views.calling import Chat, Generate
from chatsite.ollama.views.embedding import Embed, OldEmbed
from chatsite.ollama.views.models import Nothing, Ps, Show, Tags, Version

urlpatterns = [
    keyed("api/chat", Chat.as_view(), "ollama-chat"),
    keyed("api/generate", Generate.as_view(), "ollama-generate"),
    keyed("api/embed", Embed.as_view(), "ollama-embed"),
    keyed("api/embeddings", OldEmbed.as_view(), "ollama-embeddings"),
    keyed("api/tags", Tags.as_view(), "ollama-tags"),
    keyed("api/show", Show.as_view(), "ollama-show"),
    keyed("api/ps", Ps.as_view(), "ollama-ps"),
    keyed("api/version", Version.as_view(), "ollama-version"),
    keyed("api/pull", Pull.as_view(), "ollama-pull"),
    keyed("api/delete", Delete.as_view(), "ollama-delete"),
    keyed("api/<rest:rest>", Nothing.as_view(), "ollama-nothing"),
    keyed("api/", Nothing.as_view(), "ollama-root"),
]
