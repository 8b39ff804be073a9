"""The simplest engine: says the last message again, a word a step. For tests and demos, never a
model."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from inference.contract import Event, Finish, Job, Logprob, ModelSpec, Request, Tokens
from inference.engines.base import Info, Setup, WrongModelError
from inference.parse.formats import HERMES, Format
from inference.parse.writer import Writer
from inference.spelling import spell, told


class _Bytes:
    """Its words are too many to be numbered: who asks for tokens gets the bytes of the text."""

    size = 256
    controls: dict[int, str] = {}

    def piece(self, token: int) -> bytes:
        return bytes([token])


@dataclass(slots=True)
class _Run:
    job: Job
    pieces: list[bytes]
    at: int
    writer: Writer
    cancelled: bool = False


class EchoEngine:
    """Deterministic and sure of itself; a token's id is its place in the answer. `delay_ms` in the
    settings is the time from step to step."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._info = Info(slots=8, context_length=4096)
        self._delay = 0.0
        # When the next step is due.
        self._due = 0.0

    def load(self, spec: ModelSpec, setup: Setup, report: Callable[[float], None]) -> Info:
        self._delay = float(spec.settings.get("delay_ms", 20)) / 1000
        self._info = Info(
            int(spec.settings.get("slots", 8)), int(spec.settings.get("context_length", 4096))
        )
        report(1.0)
        return self._info

    def answer(self, request: Request) -> dict[str, Any]:
        task, letters = request.task, _Bytes()
        assert task
        if task.kind == "detokenize":
            return {"text": spell(letters, task.tokens)}
        text = request.prompt
        if text is None:
            text = "\n".join(message.content for message in request.messages)
        tokens = text.encode(errors="replace")
        return told(letters, tokens, self._info.context_length, pieces=task.pieces)

    def add(self, job: Job) -> None:
        pieces = [piece.encode() for piece in _words(_said(job.request))]
        run = _Run(job, pieces, len(job.tokens), _writer(job.request))
        for piece in run.pieces[: run.at]:
            run.writer.feed(piece)
        self._runs[job.request.id] = run

    def cancel(self, id: str) -> None:
        if id in self._runs:
            self._runs[id].cancelled = True

    def busy(self) -> bool:
        return bool(self._runs)

    def step(self) -> list[Event]:
        # By the clock: what a step itself takes does not slow the pace.
        now = time.monotonic()
        self._due = max(self._due + self._delay, now)
        time.sleep(self._due - now)
        return [self._advance(run) for run in list(self._runs.values())]

    def rest(self) -> bool:
        return False

    def stats(self) -> dict[str, float]:
        return {"running": len(self._runs), "slots": self._info.slots}

    def close(self) -> None:
        pass

    def _advance(self, run: _Run) -> Event:
        id, limit = run.job.request.id, run.job.request.sampling.max_tokens
        if too_long := self._check(run):
            return self._finish(run, "error", too_long)
        if run.cancelled:
            return self._finish(run, "cancelled")
        if run.at >= len(run.pieces) or run.writer.stopped:
            return self._finish(run, "stop")
        if limit is not None and run.at >= limit:
            return self._finish(run, "length")
        piece = run.pieces[run.at]
        delta = run.writer.feed(piece)
        token = run.at
        run.at += 1
        sure = _sure(token, piece, run.job.request.sampling.logprobs)
        return Tokens(id, run.at, (token,), delta.text, delta.reasoning, delta.calls, sure)

    def _check(self, run: _Run) -> dict[str, object] | None:
        if run.job.request.inputs:
            return {"kind": WrongModelError.kind}
        prompt, room = _size(run.job), self._info.context_length
        if prompt < room or run.job.request.drop_oldest:
            return None
        return {"kind": "context_length_exceeded", "prompt_tokens": prompt, "context_length": room}

    def _finish(self, run: _Run, reason: str, error: dict[str, object] | None = None) -> Finish:
        del self._runs[run.job.request.id]
        rest = run.writer.flush()
        stats = {"prompt_tokens": _size(run.job), "context_length": self._info.context_length}
        id, calls = run.job.request.id, rest.calls
        return Finish(id, reason, rest.text, rest.reasoning, error, stats, calls)


def _said(request: Request) -> str:
    if request.prompt is not None:
        return request.prompt
    return next((m.content for m in reversed(request.messages) if m.role == "user"), "")


def _sure(token: int, piece: bytes, count: int | None) -> tuple[Logprob, ...]:
    """No other token could have come."""
    if count is None:
        return ()
    alone = Logprob(token, tuple(piece), 0.0)
    return (replace(alone, top=(alone,) if count else ()),)


def _writer(request: Request) -> Writer:
    """Reads <think> and <tool_call> out of what was said, so that both can be tried."""
    tools = () if request.tool_choice == "none" else request.tools
    return Writer(Format(HERMES), tools=tools, stop=request.sampling.stop)


def _words(text: str) -> list[str]:
    """Words with the space before them; a Chinese character is a word of its own."""
    return re.findall(r"\s*(?:[⺀-鿿豈-﫿]|[^\s⺀-鿿豈-﫿]+)|\s+$", text)


def _size(job: Job) -> int:
    texts = [job.request.prompt or "", *(message.content for message in job.request.messages)]
    return sum(len(_words(text)) for text in texts)
