"""What the WebSocket says: entries of the log as JSON frames. Pure functions; see
docs/architecture.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import translation

from chatsite.gateway.errors import explain
from chatsite.gateway.models import Generation
from chatsite.gateway.nouns import Entry
from chatsite.gateway.stuck import Reason
from chatsite.gateway.stuck import explain as explain_reason

Frame = dict[str, Any]
STATUSES = {"stop": "done", "length": "done", "cancelled": "stopped", "error": "failed"}


def frames(id: str, cursor: int, entries: Sequence[Entry], language: str) -> list[Frame]:
    """One delta for all tokens that came together, then where it stands or how it ended.

    `cursor` is the position that the reader has. An entry that began before it (a log that was put
    back in one piece) makes a delta with `replace`: its text takes the place of all that the
    reader has.
    """
    out: list[Frame] = []
    tokens = [entry for entry in entries if entry.tokens is not None and entry.position > cursor]
    if tokens:
        begin = tokens[0].position - len(tokens[0].tokens or ())
        out.append(delta(id, begin, tokens, replace=begin == 0 < cursor))
    last = entries[-1]
    if last.end is not None:
        finish = last.end.finish
        out.append(
            done(id, last.position, finish.reason, finish.error, last.end.stats, language)
            | {"text": finish.text, "reasoning": finish.reasoning}
        )
    elif last.tokens is None:
        out.append(state(id, last.phase or "waiting", last.fraction))
    return out


def delta(id: str, begin: int, tokens: Sequence[Entry], *, replace: bool) -> Frame:
    frame: Frame = {
        "type": "delta",
        "generation": id,
        "from": begin,
        "to": tokens[-1].position,
        "text": "".join(entry.text for entry in tokens),
        "reasoning": "".join(entry.reasoning for entry in tokens),
    }
    return {**frame, "replace": True} if replace else frame


def state(
    id: str, phase: str, fraction: float = 0.0, ahead: int = 0, wait: int | None = None
) -> Frame:
    """Where it stands; see `stuck` for one that nobody takes."""
    return {
        "type": "state",
        "generation": id,
        "phase": phase,
        "fraction": fraction,
        "ahead": ahead,
        "wait": wait,
    }


def stuck(reason: Reason, language: str) -> Frame:
    """What the state of one that waits says besides: why nobody takes it."""
    with translation.override(language):
        told = {"kind": reason.kind, "machine": reason.name, "message": explain_reason(reason)}
    return {"reason": told}


def done(
    id: str,
    position: int,
    reason: str,
    error: dict[str, Any] | None,
    stats: dict[str, Any],
    language: str,
) -> Frame:
    with translation.override(language):
        told = {"kind": error["kind"], "message": explain(error)} if error else None
    return {
        "type": "done",
        "generation": id,
        "to": position,
        "status": STATUSES[reason],
        "reason": reason,
        "text": "",
        "reasoning": "",
        "error": told,
        "stats": stats,
    }


def from_row(row: Generation, language: str) -> list[Frame]:
    """The whole answer at once, from the row: the log of an ended one is gone after an hour."""
    id = row.pk.hex
    whole = {
        "type": "delta",
        "generation": id,
        "from": 0,
        "to": row.position,
        "text": row.text,
        "reasoning": row.reasoning,
        "replace": True,
    }
    end = done(id, row.position, row.finish_reason, row.error, row.stats, language)
    return [whole, end]


def missing(id: str) -> Frame:
    return {"type": "missing", "generation": id}


def notice(topic: str, fields: dict[str, Any]) -> Frame:
    return {"type": "notice", "topic": topic, **fields}


def trouble(kind: str) -> Frame:
    return {"type": "trouble", "kind": kind}
