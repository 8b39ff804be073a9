"""What a caller is told when something is wrong: OpenAI's envelope and statuses. Never the raw
error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from django.http import HttpResponse

from chatsite.api import provider_errors
from chatsite.databases import disk_is_full
from chatsite.outage import AWAY, RETRY


class ApiError(Exception):
    """A refusal with its status. `code` is stable; programs decide by it and by the status."""

    def __init__(
        self,
        status: int,
        code: str | None,
        message: str,
        *,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param = status, code, message, param
        self.headers = headers or {}

    def to_dict(self) -> dict[str, Any]:
        return {
            "error": {
                "message": self.message,
                "type": KINDS.get(self.status, "invalid_request_error"),
                "param": self.param,
                "code": self.code,
            }
        }

    def to_response(self) -> HttpResponse:
        return HttpResponse(
            json.dumps(self.to_dict()),
            status=self.status,
            content_type="application/json",
            headers=self.headers,
        )


KINDS = {
    429: "rate_limit_error",
    500: "server_error",
    502: "server_error",
    503: "server_error",
    504: "server_error",
}
# A repeat would meet the same failure: the clients that know this header do not try again.
FINAL = {"x-should-retry": "false"}
# Seconds in which some answers end, even long ones.
LATER = {"Retry-After": "5"}


def invalid(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    return ApiError(400, code, message, param=param)


def unknown_model(name: str) -> ApiError:
    message = f"The model '{name[:200]}' does not exist or you do not have access to it."
    return ApiError(404, "model_not_found", message, param="model")


def wrong_use(name: str, wanted: str) -> ApiError:
    """`wanted`: answers or vectors, which this model does not give."""
    message = {
        "answers": f"The model '{name}' is an embedding model: it gives vectors at /v1/embeddings, "
        "and writes no answers.",
        "vectors": f"The model '{name}' writes answers, and is no embedding model.",
    }[wanted]
    return invalid(message, "model", "wrong_model")


def no_key() -> ApiError:
    message = (
        "You did not provide an API key. Send it as a header: Authorization: Bearer YOUR_KEY. "
        "You can make one in the settings of this site."
    )
    return ApiError(401, "invalid_api_key", message, headers=CHALLENGE)


def wrong_key() -> ApiError:
    message = "Incorrect API key provided: it is unknown, has expired or was revoked."
    return ApiError(401, "invalid_api_key", message, headers=CHALLENGE)


def disabled_account() -> ApiError:
    message = "The account of this API key is disabled. Ask the admin of this site."
    return ApiError(401, "account_deactivated", message, headers=CHALLENGE)


CHALLENGE = {"WWW-Authenticate": "Bearer"}


def wrong_method(method: str, allowed: list[str]) -> ApiError:
    message = f"Not allowed to {method[:16]} here."
    return ApiError(405, "method_not_allowed", message, headers={"Allow": ", ".join(allowed)})


def unknown_address(path: str) -> ApiError:
    return ApiError(404, "unknown_url", f"There is nothing at {path[:200]}.")


def failed(error: Exception) -> ApiError:
    """What nobody caught: said for what it is where only a part of the site is away."""
    if disk_is_full(error):
        status, message = SERVERS["storage_full"]
        return ApiError(status, "storage_full", message)
    if isinstance(error, AWAY):
        message = "The site cannot reach its database just now. Please try again."
        headers = {"Retry-After": str(RETRY)}
        return ApiError(503, "service_unavailable", message, headers=headers)
    return ApiError(500, "internal_error", "Something went wrong on this site. Please try again.")


def unreachable() -> ApiError:
    message = "The site cannot reach its message broker just now. Please try again."
    return ApiError(503, "service_unavailable", message, headers={"Retry-After": "2"})


def too_many(limit: int) -> ApiError:
    message = (
        f"You have {limit} requests at work or waiting already, as many as one person may have "
        "here. Wait for some of them to end."
    )
    return ApiError(429, "too_many_requests", message, headers=LATER)


def overloaded() -> ApiError:
    message = "Too many requests are waiting on this site just now. Please try again later."
    return ApiError(503, "overloaded", message, headers=LATER)


def from_engine(error: dict[str, Any], names: Mapping[str, str] = MappingProxyType({})) -> ApiError:
    """What an engine said of a generation that it could not finish. `names`: what the caller calls
    the parameters, where that is not as in a chat."""
    kind = error.get("kind")
    if kind == "context_length_exceeded":
        text = names.get("messages", "messages")
        return invalid(_too_long(error, text), text, kind)
    if kind in CLIENTS:
        param = PARAMS.get(kind)
        return invalid(CLIENTS[kind], param and names.get(param, param), kind)
    if kind in SERVERS:
        status, message = SERVERS[kind]
        headers = LATER if kind in provider_errors.AGAIN else FINAL
        return ApiError(status, kind, message, headers=headers)
    if found := provider_errors.refusal(error):
        status, code, message, headers = found
        return ApiError(status, code, message, headers=headers)
    return ApiError(500, "engine_failed", "The answer could not be finished.", headers=FINAL)


def _too_long(error: dict[str, Any], text: str) -> str:
    needed, room = error.get("prompt_tokens"), error.get("context_length")
    if needed is None or room is None:
        return "This is longer than this model's context length."
    return (
        f"This model's maximum context length is {room} tokens. "
        f"However, your {text} resulted in {needed} tokens. "
        f"Please reduce the length of the {text}."
    )


# What a client has sent is the reason.
CLIENTS = {
    "template_failed": (
        "This model's chat template refuses the messages. Check the order of their roles."
    ),
    "template_kwargs_refused": "A key or value of chat_template_kwargs is not allowed.",
    "bad_prompt": "The model cannot read this text as it is.",
    "tools_refused": (
        "This model was not made for tools: its chat template has no place for them. Leave 'tools' "
        "out, or say by 'tool_choice' which function must be called."
    ),
    "tool_choice_refused": (
        "This model cannot be made to call one of several functions. Name one in 'tool_choice', or "
        "leave the choice to it."
    ),
    "bad_schema": "The JSON schema of the answer or of a tool has something that is not supported.",
    "wrong_model": "This model is not made for what is asked here.",
    "bad_tokens": "This model knows no token with one of these ids.",
    "bad_dimensions": (
        "This model cannot give vectors of so many dimensions. Leave it out to get whole ones."
    ),
    "bad_grammar": "The grammar of the answer's form cannot be used.",
    "parameter_unsupported": "The engine of this model does not know one of the parameters.",
    "grammar_too_complex": "The schema or grammar of the answer's form is too complex.",
}
PARAMS = {
    "template_failed": "messages",
    "template_kwargs_refused": "chat_template_kwargs",
    "bad_prompt": "messages",
    "tools_refused": "tools",
    "tool_choice_refused": "tool_choice",
    "wrong_model": "model",
    "bad_tokens": "tokens",
    "bad_dimensions": "dimensions",
    "bad_schema": "response_format",
    "bad_grammar": "response_format",
    "grammar_too_complex": "response_format",
}
SERVERS = {
    "model_load_failed": (500, "The model could not be loaded on this site."),
    "engine_missing": (500, "The engine of this model cannot be started on this site."),
    "memory_short": (500, "The model with its settings needs more memory than there is."),
    "model_unsupported": (500, "The engine on this site does not know this kind of model."),
    "settings_refused": (500, "The engine on this site refuses the settings of this model."),
    "answer_interrupted": (
        500,
        "The engine stopped while it wrote this answer, which cannot go on exactly there.",
    ),
    "model_too_large": (500, "The model needs more memory than this site has."),
    "model_missing": (503, "The model is no longer available on this site."),
    "engine_lost": (500, "The engine stopped several times while it wrote this answer."),
    "storage_full": (503, "The disk of this site is full."),
    "history_lost": (500, "A part of this answer was lost."),
    "no_worker": (503, "No machine of this site can run this model just now."),
    "machine_gone": (503, "The machine of this site that has this model does not answer."),
    "draining": (503, "The machine of this site that has this model is being serviced."),
    "refused": (503, "The machine of this site that has this model needs an update."),
    **provider_errors.FAILURES,
}
