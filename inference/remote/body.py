"""A request in OpenAI's form: what was asked for, and of what has a default nothing. It sends
nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from inference.contract import Message, Request, Sampling, Shape
from inference.remote.troubles import Trouble

Body = dict[str, Any]
# OpenAI's parameters and vLLM's extras with what counts where they are not sent.
NEUTRAL: Mapping[str, Any] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "max_tokens": None,
    # 0: nobody asked for one, see `gateway.actions`.
    "seed": 0,
    "stop": (),
    "top_k": 0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "repetition_penalty": 1.0,
    "min_tokens": 0,
    "stop_token_ids": (),
    "ignore_eos": False,
}


def compose(request: Request, model: str) -> tuple[str, Body]:
    """The path below the base URL, and the body; Trouble where the API has no words for it."""
    if request.inputs:
        return "/embeddings", _embedding(request, model)
    body: Body = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
    body |= _drawing(request.sampling)
    if request.prompt is not None:
        body["prompt"] = request.prompt
        if request.sampling.logprobs is not None:
            body["logprobs"] = request.sampling.logprobs
        return "/completions", body | _shape(request.shape)
    body["messages"] = [_turn(message) for message in request.messages]
    if request.sampling.logprobs is not None:
        body["logprobs"] = True
        if request.sampling.logprobs:
            body["top_logprobs"] = request.sampling.logprobs
    return "/chat/completions", body | _shape(request.shape) | _tools(request) | _thinking(request)


def _embedding(request: Request, model: str) -> Body:
    inputs = [each if isinstance(each, str) else list(each) for each in request.inputs]
    body: Body = {"model": model, "input": inputs, "encoding_format": "float"}
    return body | ({"dimensions": request.dimensions} if request.dimensions else {})


def _drawing(sampling: Sampling) -> Body:
    asked: Body = {
        name: getattr(sampling, name)
        for name, neutral in NEUTRAL.items()
        if getattr(sampling, name) != neutral
    }
    for name in ("stop", "stop_token_ids"):
        if name in asked:
            asked[name] = list(asked[name])
    if sampling.logit_bias:
        asked["logit_bias"] = {str(token): bias for token, bias in sampling.logit_bias.items()}
    return asked


def _turn(message: Message) -> Body:
    turn: Body = {"role": message.role, "content": message.content}
    if message.tool_calls:
        turn["content"] = message.content or None
        turn["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    if message.reasoning:
        turn["reasoning_content"] = message.reasoning
    if message.tool_call_id:
        turn["tool_call_id"] = message.tool_call_id
    return turn


def _shape(shape: Shape) -> Body:
    if shape.kind == "json":
        return {"response_format": {"type": "json_object"}}
    if shape.kind == "schema":
        form = {"name": "answer", "strict": True, "schema": _schema(shape.value)}
        return {"response_format": {"type": "json_schema", "json_schema": form}}
    if shape.kind == "choice":
        return {"structured_outputs": {"choice": _schema(shape.value)}}
    # OpenAI has no words for these, vLLM has.
    return {} if shape.kind == "text" else {"structured_outputs": {shape.kind: shape.value}}


def _schema(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Trouble("bad_schema") from None


def _tools(request: Request) -> Body:
    if not request.tools:
        return {}
    told: Body = {"tools": list(request.tools)}
    if request.tool_choice in {"none", "required"}:
        told["tool_choice"] = request.tool_choice
    elif request.tool_choice != "auto":
        told["tool_choice"] = {"type": "function", "function": {"name": request.tool_choice}}
    if not request.parallel_tool_calls:
        told["parallel_tool_calls"] = False
    return told


def _thinking(request: Request) -> Body:
    """The effort has a place of its own; what else was said to a template is vLLM's extra."""
    rest = dict(request.template_kwargs)
    effort = rest.pop("reasoning_effort", None)
    if effort is None:
        return {"chat_template_kwargs": rest} if rest else {}
    # What only follows from the effort need not be said again.
    if rest.get("enable_thinking") == (effort != "none"):
        del rest["enable_thinking"]
    told: Body = {"reasoning_effort": effort}
    return told | {"chat_template_kwargs": rest} if rest else told


# What a provider may refuse of a request that another one wants so. A refusal costs nothing, so the
# same is asked once more in the other words.


def reword(body: Body, trouble: Trouble) -> Body | None:
    """The body in other words after this refusal; None where there are none."""
    said = trouble.words.lower()
    if trouble.kind == "context_length_exceeded":
        return _shorter(body, trouble.error)
    if trouble.kind != "remote_refused":
        return None
    if "max_tokens" in body and "max_completion_tokens" in said:
        return _renamed(body, "max_tokens", "max_completion_tokens")
    if "stream_options" in body and ("stream_options" in said or "include_usage" in said):
        return _without(body, "stream_options")
    if "reasoning_content" in said:
        return _changed(body, lambda turn: _without(turn, "reasoning_content"))
    if "length of 9" in said or "length 9" in said:
        return _changed(body, _short_ids)
    if "response_format" in said or "additionalproperties" in said or "schema" in said:
        return _lenient(body)
    return None


def _shorter(body: Body, error: Mapping[str, Any]) -> Body | None:
    """A limit that is larger than the room is no error here: the room is the limit then."""
    prompt, room = error.get("prompt_tokens"), error.get("context_length")
    name = "max_tokens" if "max_tokens" in body else "max_completion_tokens"
    if not isinstance(prompt, int) or not isinstance(room, int) or name not in body:
        return None
    left = room - prompt
    return {**body, name: left} if 0 < left < body[name] else None


def _lenient(body: Body) -> Body | None:
    """Strict schemas must name every property as required, which not all do."""
    form = body.get("response_format", {}).get("json_schema")
    if not form or "strict" not in form:
        return None
    return {
        **body,
        "response_format": {"type": "json_schema", "json_schema": _without(form, "strict")},
    }


def _changed(body: Body, change: Any) -> Body | None:
    if "messages" not in body:
        return None
    turns = [change(turn) for turn in body["messages"]]
    return {**body, "messages": turns} if turns != body["messages"] else None


def _short_ids(turn: Body) -> Body:
    """A call's id as Mistral wants it, the same for the call and for its answer."""
    if "tool_call_id" in turn:
        turn = {**turn, "tool_call_id": _short(turn["tool_call_id"])}
    if "tool_calls" in turn:
        calls = [{**call, "id": _short(call["id"])} for call in turn["tool_calls"]]
        turn = {**turn, "tool_calls": calls}
    return turn


def _short(id: str) -> str:
    if len(id) == 9 and id.isalnum():
        return id
    return hashlib.sha256(id.encode(errors="replace")).hexdigest()[:9]


def _renamed(body: Body, old: str, new: str) -> Body:
    return {**_without(body, old), new: body[old]}


def _without(body: Body, name: str) -> Body:
    return {key: value for key, value in body.items() if key != name}
