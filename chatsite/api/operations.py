"""What each address of the API is for, a line or two for each method. The schema and the reference
are made of this, of the views' bodies and of the list of addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from django.urls import URLPattern, get_resolver
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from pydantic import BaseModel, Field

from chatsite.api import shapes

Words = str | Promise
METHODS = ("get", "post", "put", "patch", "delete")
# By name: they ask for this module in turn.
ADDRESSES = "chatsite.api.urls"
# They answer every address that is none.
UNTOLD = frozenset({"v1-nothing", "v1-root"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address.

    `body` is needed only where the view does not say it; `sdk` is how OpenAI's clients call it,
    `example` what a sample sends, and `wants` what its model gives.
    """

    title: Words
    about: Words = ""
    answer: type[BaseModel] = shapes.Anything
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    streams: bool = False
    sdk: str = ""
    wants: str = "answers"
    example: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """An operation with where it is found: by name and method, and by path."""

    name: str
    method: str
    # With {names} for what varies.
    path: str
    body: type[BaseModel] | None
    operation: Operation

    @property
    def id(self) -> str:
        return f"{self.method}-{self.name}"

    def sent(self, model: str) -> dict[str, Any]:
        """What a sample sends."""
        named = {"model": model} if self.body and "model" in self.body.model_fields else {}
        return {**named, **self.operation.example}


class PageQuery(BaseModel):
    """A page of a list."""

    limit: int = Field(20, ge=1, le=100)
    after: str = ""
    order: Literal["asc", "desc"] = "desc"


class CompletionsQuery(PageQuery):
    order: Literal["asc", "desc"] = "asc"
    model: str = ""


class StreamQuery(BaseModel):
    """A response read again, from the event after this one."""

    stream: bool = False
    starting_after: int | None = Field(None, ge=0)
    include: list[str] = []


HELLO = {"messages": [{"role": "user", "content": "Hello!"}]}
OPERATIONS: dict[tuple[str, str], Operation] = {
    ("v1-chat-completions", "post"): Operation(
        _("Write an answer"),
        _("The model goes on with a conversation: whole, or token by token as a stream."),
        answer=shapes.ChatCompletion,
        streams=True,
        sdk="chat.completions.create",
        # A small model may go on for minutes.
        example={**HELLO, "max_completion_tokens": 200},
    ),
    ("v1-chat-completions", "get"): Operation(
        _("Stored answers"),
        _("Chat completions that were made with store."),
        query=CompletionsQuery,
        sdk="chat.completions.list",
    ),
    ("v1-chat-completion", "get"): Operation(
        _("Read a stored answer"), sdk="chat.completions.retrieve"
    ),
    ("v1-chat-completion", "post"): Operation(
        _("Label a stored answer"),
        _("The labels take the place of those that it has."),
        sdk="chat.completions.update",
        example={"metadata": {"topic": "greetings"}},
    ),
    ("v1-chat-completion", "delete"): Operation(
        _("Delete a stored answer"), answer=shapes.Deleted, sdk="chat.completions.delete"
    ),
    ("v1-chat-completion-messages", "get"): Operation(
        _("Messages of a stored answer"),
        query=PageQuery,
        sdk="chat.completions.messages.list",
    ),
    ("v1-responses", "post"): Operation(
        _("Make a response"),
        _(
            "The newer way to ask: the site keeps what was said, so that the next request needs "
            "only what is new, and one that goes on in the background can be asked for later."
        ),
        streams=True,
        sdk="responses.create",
        example={"input": "Hello!"},
    ),
    ("v1-response", "get"): Operation(
        _("Read a response"),
        _("As it is by now, or as a stream that goes on after an event that you have."),
        query=StreamQuery,
        streams=True,
        sdk="responses.retrieve",
    ),
    ("v1-response", "delete"): Operation(
        _("Delete a response"), answer=shapes.Deleted, sdk="responses.delete"
    ),
    ("v1-response-cancel", "post"): Operation(
        _("Cancel a response"),
        _("One that was made with background and is still written."),
        sdk="responses.cancel",
    ),
    ("v1-response-input-items", "get"): Operation(
        _("Input of a response"),
        _("What was said to it, the newest first."),
        query=PageQuery,
        sdk="responses.input_items.list",
    ),
    ("v1-completions", "post"): Operation(
        _("Go on with a text"),
        _("The model continues a plain text; no chat template is used."),
        answer=shapes.TextCompletion,
        streams=True,
        sdk="completions.create",
        example={"prompt": "Once upon a time", "max_tokens": 32},
    ),
    ("v1-embeddings", "post"): Operation(
        _("Make embeddings"),
        _(
            "A vector for each text, to compare texts by their meaning. This needs an embedding "
            "model. Ids of tokens are those of that model, as the tokenize endpoint tells them."
        ),
        answer=shapes.EmbeddingList,
        sdk="embeddings.create",
        wants="vectors",
        example={"input": ["The food was delicious.", "I liked the meal."]},
    ),
    ("v1-tokenize", "post"): Operation(
        _("Count and see tokens"),
        _(
            "The tokens of a text, or of a conversation as the model would read it. The answer "
            "also says how many the model can read at once."
        ),
        answer=shapes.Tokens,
        example=HELLO,
    ),
    ("v1-detokenize", "post"): Operation(
        _("Turn tokens into text"),
        _("The text that ids of tokens spell."),
        answer=shapes.Prompt,
        example={"tokens": [1, 2, 3]},
    ),
    ("v1-models", "get"): Operation(
        _("Models"),
        _("All models that your key may use."),
        answer=shapes.ModelList,
        sdk="models.list",
    ),
    ("v1-model", "get"): Operation(
        _("Look up a model"), answer=shapes.ModelEntry, sdk="models.retrieve"
    ),
    ("v1-schema", "get"): Operation(
        _("Get the schema"), _("This reference for machines, as OpenAPI 3.1.")
    ),
}


def found() -> Iterator[tuple[URLPattern, str]]:
    """Every address with each method that its view answers."""
    for pattern in get_resolver(ADDRESSES).url_patterns:
        if not isinstance(pattern, URLPattern) or pattern.name in UNTOLD:
            continue
        for method in METHODS:
            if hasattr(view_of(pattern), method):
                yield pattern, method


def told() -> list[Told]:
    """All operations, in the order in which they are described here."""
    known = {(str(pattern.name), method): pattern for pattern, method in found()}
    return [
        Told(
            name,
            method,
            path_of(known[name, method]),
            operation.body or (body_of(known[name, method]) if method == "post" else None),
            operation,
        )
        for (name, method), operation in OPERATIONS.items()
        if (name, method) in known
    ]


def view_of(pattern: URLPattern) -> type:
    view: type = vars(pattern.callback)["view_class"]
    return view


def path_of(pattern: URLPattern) -> str:
    parts = "/" + str(pattern.pattern).replace("<", "{").replace(">", "}")
    return "/".join(
        "{" + part.rpartition(":")[2] if part.startswith("{") and ":" in part else part
        for part in parts.split("/")
    )


def body_of(pattern: URLPattern) -> type[BaseModel] | None:
    """What the view itself says that it reads: by its `body`, or in CallView's brackets."""
    view = view_of(pattern)
    given = getattr(view, "body", None)
    if isinstance(given, type):
        return given
    for base in getattr(view, "__orig_bases__", ()):
        for argument in get_args(base):
            if isinstance(argument, type) and issubclass(argument, BaseModel):
                return argument
    return None
