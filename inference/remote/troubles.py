"""What a provider's failure means, as stable kinds. It repeats no key and raises no surprise."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# Of a provider's own words this much is told.
WORDS = 300
# Seconds that a caller is asked to wait at most, whatever the provider says.
LONGEST_WAIT = 24 * 3600
STATUSES = {
    401: "remote_key_refused",
    402: "remote_quota",
    403: "remote_forbidden",
    404: "remote_model_missing",
    429: "remote_busy",
}
# What was asked is the reason; the provider's words say which part of it.
ASKED = frozenset({400, 405, 406, 409, 411, 413, 415, 422})
CODES = {
    "insufficient_quota": "remote_quota",
    "billing_hard_limit_reached": "remote_quota",
    "invalid_api_key": "remote_key_refused",
    "model_not_found": "remote_model_missing",
    "rate_limit_exceeded": "remote_busy",
    "rate_limit_error": "remote_busy",
    "context_length_exceeded": "context_length_exceeded",
    "exceed_context_size_error": "context_length_exceeded",
}
# What OpenAI, vLLM, llama.cpp and we ourselves say of a prompt that is too long, and the figures.
TOO_LONG = re.compile(r"context (?:length|size|window)|model length|max_model_len", re.IGNORECASE)
ROOM = re.compile(r"(?:context length|context size|model length|context window)\D{0,40}?(\d{3,9})")
NEEDED = re.compile(
    r"(?:resulted in|requested|contains(?: at least)?|length) (\d{1,9})(?: tokens| input|\))"
)
OF_MESSAGES = re.compile(r"(\d{1,9}) in the (?:messages|prompt|input)")


class Trouble(Exception):
    """`error` is what the log's last entry tells; `words` is what the provider said, for us."""

    def __init__(self, kind: str, words: str = "", **more: Any) -> None:
        super().__init__(kind)
        self.error: dict[str, Any] = {"kind": kind, **more}
        self.words = words

    @property
    def kind(self) -> str:
        return str(self.error["kind"])


def of_answer(status: int, headers: Mapping[str, str], body: bytes, key: str) -> Trouble:
    """What an answer means that is no success."""
    if 300 <= status < 400:
        return Trouble("remote_redirect")
    return of_error(read_error(body), key, status, headers.get("Retry-After", ""))


def of_error(error: Mapping[str, Any], key: str, status: int = 0, wait: str = "") -> Trouble:
    """What an error object means, which may also come in the middle of a stream."""
    code = error.get("code")
    if not status and isinstance(code, int | str) and str(code).isdecimal():
        status = int(code)
    words = tidy(error.get("message"), key)
    kind = _kind(status, {str(code), str(error.get("type"))}, words)
    if kind == "context_length_exceeded":
        return Trouble(kind, words, **counts(error, words))
    if kind == "remote_busy":
        seconds = waiting(wait)
        return Trouble(kind, words, **({} if seconds is None else {"retry_after": seconds}))
    if kind == "remote_refused" and words:
        return Trouble(kind, words, detail=words)
    return Trouble(kind, words)


def _kind(status: int, names: set[str], words: str) -> str:
    known = next((CODES[name] for name in sorted(names) if name in CODES), "")
    if known:
        return known
    if status in ASKED:
        return "context_length_exceeded" if TOO_LONG.search(words) else "remote_refused"
    return STATUSES.get(status, "remote_failed")


def counts(error: Mapping[str, Any], words: str) -> dict[str, int]:
    """How long the prompt is and how much the model reads, where both were told."""
    prompt, room = error.get("n_prompt_tokens"), error.get("n_ctx")
    if not (isinstance(prompt, int) and isinstance(room, int)):
        needed, known = OF_MESSAGES.search(words) or NEEDED.search(words), ROOM.search(words)
        if needed is None or known is None:
            return {}
        prompt, room = int(needed[1]), int(known[1])
    return {"prompt_tokens": prompt, "context_length": room}


def waiting(text: str) -> int | None:
    """Retry-After in whole seconds; None where it is no number (a date is not worth a clock)."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    if not 0 <= seconds <= LONGEST_WAIT:
        return None
    return max(1, round(seconds))


def read_error(body: bytes) -> dict[str, Any]:
    """The error object in any of the forms in which servers send it."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, dict):
        return {}
    inner = data.get("error", data)
    if isinstance(inner, str):
        return {"message": inner}
    found = dict(inner) if isinstance(inner, dict) else {}
    if "message" not in found and "detail" in data:
        found["message"] = data["detail"]
    return found


def tidy(words: Any, key: str) -> str:
    """A provider's words on one line, short, and without the key."""
    if words is None:
        return ""
    text = words if isinstance(words, str) else json.dumps(words, ensure_ascii=False)
    if key:
        text = text.replace(key, "…")
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * WORDS]).split())
    return line if len(line) <= WORDS else line[: WORDS - 1] + "…"
