"""Answers that a provider elsewhere writes: one connection each, a thread each. It asks for nothing
twice that may have been begun.

Ids of tokens are not known here: each piece that comes counts as one token with the id -1. The
provider's own count stands in the end's stats, and that is the one that is told and billed.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from inference.contract import Event, Finish, Job, ModelSpec, Progress, Request, Tokens, Vector
from inference.engines.base import Info, Setup, WrongModelError
from inference.intake import without_oldest
from inference.remote import egress
from inference.remote.body import Body, compose, reword
from inference.remote.line import Line, Patience
from inference.remote.permit import Permit, find_secret, unseal
from inference.remote.reader import UNKNOWN, Piece, Reader, vectors
from inference.remote.troubles import Trouble

log = logging.getLogger("inference.engine")
# Answers at once. They cost no memory to speak of; the provider has its own limits.
SLOTS = 32
# Seconds that a step waits for something to come; a new job waits for it, too.
STEP = 0.01
# Seconds for the count and the farewell after an answer's end.
FAREWELL = 10.0
# In how many other words a request that was refused is asked again.
TRIES = 12


class RemoteEngine:
    """The source is {"permit": sealed, "model": the provider's name for it}."""

    def __init__(self) -> None:
        self._news: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._asks: dict[str, Ask] = {}
        self._figures = dict.fromkeys(("prompt_tokens", "cached_tokens", "generated_tokens"), 0.0)
        self._slots = SLOTS

    def load(self, spec: ModelSpec, setup: Setup, report: Callable[[float], None]) -> Info:
        self._permit = unseal(spec.source["permit"], find_secret(os.environ))
        self._model = spec.source["model"]
        self._patience = Patience.of(spec.settings)
        egress.parse(self._permit.base_url)
        self._slots = setup.slots or SLOTS
        report(1.0)
        room = spec.settings.get("context_length")
        return Info(self._slots, room if type(room) is int else 0)

    def add(self, job: Job) -> None:
        id = job.request.id
        if job.attempt > 1 or job.tokens:
            # Somebody asked before, and it was billed or not: nobody knows.
            self._news.put(Finish(id, "error", error={"kind": "remote_interrupted"}))
            return
        tell = self._news.put
        ask = Ask(job.request, self._model, self._permit, self._patience, tell)
        self._asks[id] = ask
        ask.start()

    def answer(self, request: Request) -> dict[str, Any]:
        raise WrongModelError("Only the provider knows its tokens.")

    def cancel(self, id: str) -> None:
        if ask := self._asks.get(id):
            ask.cancel()

    def busy(self) -> bool:
        return bool(self._asks) or not self._news.empty()

    def step(self) -> list[Event]:
        """What has come, or what comes within a moment."""
        events: list[Event] = []
        try:
            events.append(self._news.get(timeout=STEP))
            while True:
                events.append(self._news.get_nowait())
        except queue.Empty:
            pass
        for event in events:
            if isinstance(event, Finish):
                self._asks.pop(event.id, None)
                self._count(event.stats)
        return events

    def rest(self) -> bool:
        return False

    def stats(self) -> dict[str, float]:
        return {"running": len(self._asks), "slots": self._slots, **self._figures}

    def close(self) -> None:
        for ask in self._asks.values():
            ask.cancel()

    def _count(self, stats: dict[str, Any]) -> None:
        self._figures["prompt_tokens"] += stats.get("prompt_tokens", 0)
        self._figures["cached_tokens"] += stats.get("cached_tokens", 0)
        self._figures["generated_tokens"] += stats.get("completion_tokens", 0)


class Ask:
    """One question to the provider. Its thread writes; `cancel` may come at any time."""

    def __init__(
        self,
        request: Request,
        model: str,
        permit: Permit,
        patience: Patience,
        tell: Callable[[Event], None],
    ) -> None:
        self._request = request
        self._model = model
        self._permit, self._patience = permit, patience
        self._tell = tell
        self._reader = Reader(permit.key)
        self._line: Line | None = None
        # What is told after the end is told by nobody.
        self._lock = threading.Lock()
        self._ended = False
        self._taken = False
        self._position = self._left_out = 0

    def start(self) -> None:
        threading.Thread(target=self._run, name="ask", daemon=True).start()

    def cancel(self) -> None:
        """It ends now; the thread follows when its connection is gone."""
        self._end("cancelled")
        if line := self._line:
            line.hang_up()

    def _run(self) -> None:
        try:
            self._say(Progress(self._request.id, "reading"))
            line = self._ask()
            self._taken = True
            self._end(self._embed(line) if self._request.inputs else self._read(line))
        except Trouble as trouble:
            if not self._ended:
                # Its words may repeat what somebody wrote: they are for that person alone.
                log.info("The provider of %s: %s.", self._model, trouble.kind)
            self._end("error", trouble.error)
        except Exception:
            log.exception("An answer of %s failed.", self._model)
            self._end("error", {"kind": "remote_garbage"})
        finally:
            if self._line:
                self._line.close()

    def _embed(self, line: Line) -> str:
        data = line.whole()
        self._reader.take(data)
        for index, values in enumerate(vectors(data, len(self._request.inputs))):
            self._say(Vector(self._request.id, index, values))
        return "stop"

    def _read(self, line: Line) -> str:
        """The answer to its end; how it ended."""
        if not line.streams:
            # Some models do not stream, and some servers never do.
            self._write(self._reader.take(line.whole()))
            return self._reader.end()
        try:
            for piece in self._reader.read(line.lines()):
                self._write(piece)
                if self._reader.reason:
                    line.hurry(FAREWELL)
        except Trouble:
            # The answer itself is whole; its count is missed.
            if not self._reader.reason:
                raise
        return self._reader.end()

    def _ask(self) -> Line:
        """Its answer begins. What was refused has cost nothing and may be asked in other words."""
        path, body = compose(self._request, self._model)
        for _ in range(TRIES):
            try:
                return self._post(path, body)
            except Trouble as trouble:
                other = reword(body, trouble)
                if other is None and trouble.kind == "context_length_exceeded":
                    other = self._shorten(body)
                if other is None:
                    raise
                body = other
        raise Trouble("remote_refused")

    def _post(self, path: str, body: Body) -> Line:
        line = Line(self._permit, self._patience)
        with self._lock:
            self._line = line
            if self._ended:
                raise Trouble("remote_cut")
        try:
            line.post(path, body)
        except Trouble:
            line.close()
            raise
        return line

    def _shorten(self, body: Body) -> Body | None:
        """Where the user chose so, without the oldest quarter of the turns, one at least."""
        before = list(self._request.messages)
        messages = without_oldest(before)
        if not self._request.drop_oldest or len(messages) == len(before):
            return None
        while len(messages) > len(before) * 3 // 4 and without_oldest(messages) != messages:
            messages = without_oldest(messages)
        self._left_out += len(before) - len(messages)
        self._request = replace(self._request, messages=tuple(messages))
        return {**body, "messages": compose(self._request, self._model)[1]["messages"]}

    def _write(self, piece: Piece) -> None:
        if piece == Piece():
            return
        self._position += 1
        id, text, reasoning = self._request.id, piece.text, piece.reasoning
        calls, logprobs = piece.calls, piece.logprobs
        self._say(Tokens(id, self._position, (UNKNOWN,), text, reasoning, calls, logprobs))

    def _say(self, event: Event) -> None:
        with self._lock:
            if not self._ended:
                self._ended = isinstance(event, Finish)
                self._tell(event)

    def _end(self, reason: str, error: dict[str, Any] | None = None) -> None:
        stats = self._reader.stats(_size(self._request)) if self._taken else {}
        if self._left_out:
            stats["left_out"] = self._left_out
        self._say(Finish(self._request.id, reason, error=error, stats=stats))


def _size(request: Request) -> int:
    """Characters of what was asked."""
    texts = [request.prompt or "", *(message.content for message in request.messages)]
    return sum(map(len, texts)) + sum(map(len, request.inputs))
