"""Stored chat completions in OpenAI's shapes: as they were answered, and the messages that came
before. Pure functions of what was kept."""

from __future__ import annotations

from collections.abc import Sequence

from chatsite.api import answers
from chatsite.api.answers import Json, Said
from chatsite.api.calls import Choice
from chatsite.api.chat import ChatBody
from chatsite.api.models import Stored
from chatsite.gateway import replay
from chatsite.gateway.models import Generation


def asked_of(asked: ChatBody) -> Json:
    """How the answer is told."""
    return {
        "head": asked.told,
        "shown": {"with_logprobs": asked.logprobs, "old_calls": asked.old_calls},
    }


def said_of(asked: ChatBody) -> list[Json]:
    """The messages, as the request had them."""
    return [turn.model_dump(mode="json", exclude_none=True) for turn in asked.messages]


def completion(kept: Stored, rows: Sequence[Generation]) -> Json:
    """The completion, the same as it was answered with."""
    created = int(kept.generation.created.timestamp())
    head = answers.head("chat.completion", kept.pk.hex, created, kept.model)
    saids = [said(row) for row in rows]
    whole = answers.completion(head | kept.asked["head"], saids, **kept.asked["shown"])
    return {**whole, "metadata": kept.metadata}


def said(row: Generation) -> Said:
    """One choice, from its row."""
    found = Said(row.pk.hex)
    found.add(Choice(0, row).read(replay.entries(row)))
    return found


def messages(kept: Stored) -> list[Json]:
    return [
        message(f"chatcmpl-{kept.pk.hex}-{place}", each) for place, each in enumerate(kept.said)
    ]


def message(id: str, turn: Json) -> Json:
    parts = turn.get("content") or []
    text = "".join(part.get("text") or part.get("refusal") or "" for part in parts)
    further = {
        name: turn[name]
        for name in ("tool_calls", "tool_call_id", "function_call", "reasoning_content")
        if name in turn
    }
    return {
        "id": id,
        "role": turn["role"],
        "content": text if parts else None,
        "name": turn.get("name"),
        "refusal": turn.get("refusal"),
        "content_parts": parts if len(parts) > 1 else None,
        **further,
    }
