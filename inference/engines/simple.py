"""The base of an engine of one's own that writes each answer by itself: who inherits it says an
answer piece by piece, and knows nothing of queues, logs and pipes."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from inference.contract import Event, Finish, Job, Message, ModelSpec, Request, Sampling, Tokens
from inference.engines.base import Info, Setup, WrongModelError
from inference.intake import TooLongError, without_oldest
from inference.parse.formats import VERBATIM, Format
from inference.parse.writer import Delta, Writer

log = logging.getLogger("inference.engine")
# Seconds that a step waits for something to come; a new job waits for it, too.
STEP = 0.01
# The id of a token that nobody but the engine itself knows.
UNKNOWN = -1


class RefusedError(Exception):
    """Something is asked for that this kind of engine cannot do."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class SimpleEngine:
    """Write `generate`, and what else is needed of the five methods that come first. Each answer is
    read in a thread of its own, `slots` of them at once."""

    slots = 1
    # Tokens of a conversation and its answer together.
    context_length = 4096
    # Without a piece of any answer for so many seconds this process is taken for hung.
    patience = 300.0

    def open(self, spec: ModelSpec, report: Callable[[float], None]) -> None:
        """Load the model of `spec.source`; `report` gets the fraction. It may set the limits above;
        what the admin set for the model goes before them."""

    def generate(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        """The pieces of the answer, each for one token, `sampling.max_tokens` at most; some may be
        empty, and behind the last token one more may come. Where the last message is the
        assistant's, its text is said already: go on behind it. A stop closes the generator: end in
        a `finally` what it has started."""
        raise NotImplementedError

    def complete(self, prompt: str, sampling: Sampling) -> Iterator[str]:
        """The same for a text that is no conversation."""
        raise WrongModelError("This engine answers messages alone.")

    def count(self, messages: Sequence[Message]) -> int:
        """How many tokens a model reads for these messages; 0: nobody knows."""
        return 0

    def close(self) -> None:
        """The last call before the process ends."""

    # What the worker asks, which needs no change.

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._early: list[Event] = []
        self._news: queue.SimpleQueue[tuple[_Run, str | Exception | None]] = queue.SimpleQueue()
        self._heard = 0.0
        self._figures = dict.fromkeys(("prompt_tokens", "generated_tokens", "decode_seconds"), 0.0)

    def load(self, spec: ModelSpec, setup: Setup, report: Callable[[float], None]) -> Info:
        self.open(spec, report)
        wished = spec.settings.get("context_length")
        self.context_length = wished if type(wished) is int else self.context_length
        self.slots = setup.slots or self.slots
        self._seats = threading.Semaphore(self.slots)
        report(1.0)
        return Info(self.slots, self.context_length)

    def add(self, job: Job) -> None:
        if not self._runs:
            self._heard = time.monotonic()
        run = self._runs[job.request.id] = _Run(job)
        # A daemon: one that hangs must not keep the process from its end.
        threading.Thread(target=self._write, args=[run], daemon=True).start()

    def cancel(self, id: str) -> None:
        if run := self._runs.get(id):
            self._early.append(self._finish(run, "cancelled"))

    def answer(self, request: Request) -> dict[str, Any]:
        raise WrongModelError("Only the engine itself knows its tokens.")

    def busy(self) -> bool:
        return bool(self._runs or self._early)

    def step(self) -> list[Event]:
        """What has been said, or is said within a moment."""
        events, self._early = self._early, []
        for run, piece in self._hear(0 if events else STEP):
            # What comes behind an end is heard by nobody.
            if not run.ended:
                events += self._tell(run, piece)
        if self._runs and time.monotonic() - self._heard > self.patience:
            raise TimeoutError("The engine says nothing any more.")
        return events

    def rest(self) -> bool:
        return False

    def stats(self) -> dict[str, float]:
        running = len(self._runs)
        return {"running": running, "batch": running, "slots": self.slots, **self._figures}

    def _write(self, run: _Run) -> None:
        """The life of one answer, in its thread."""
        said: str | Exception | None = None
        with self._seats:
            try:
                with contextlib.closing(self._pieces(run)) as pieces:
                    for piece in pieces:
                        if run.ended:
                            return
                        self._news.put((run, piece))
            except Exception as error:
                log.exception("An answer has failed.")
                said = error
        self._news.put((run, said))

    def _pieces(self, run: _Run) -> Generator[str]:
        request, sampling = run.request, run.request.sampling
        if run.ended or run.is_full:
            return
        if kind := _refusal(request):
            raise RefusedError(kind)
        messages = [] if request.prompt is not None else self._fitting(run)
        run.limit = min(run.limit or self.context_length, self.context_length - run.prompt_tokens)
        sampling = replace(sampling, max_tokens=run.limit - run.position)
        if request.prompt is not None:
            said = run.job.text.removesuffix(" ")
            yield from self.complete(request.prompt + said, sampling)
        else:
            yield from self.generate(messages, sampling)

    def _fitting(self, run: _Run) -> list[Message]:
        """The messages, with what was said before a crash; TooLongError where they leave no room
        for an answer, or fewer of them where the user chose that."""
        messages = list(run.request.messages)
        while (size := self.count(messages)) >= self.context_length:
            shorter = without_oldest(messages) if run.request.drop_oldest else messages
            if len(shorter) == len(messages):
                raise TooLongError(size)
            messages = shorter
        run.left_out, run.prompt_tokens = len(run.request.messages) - len(messages), size
        # A space belongs to the word behind it: a model that read one would write another.
        said = Message("assistant", run.job.text.removesuffix(" "), run.job.reasoning)
        return [*messages, said] if run.job.text or run.job.reasoning else messages

    def _hear(self, patience: float) -> list[tuple[_Run, str | Exception | None]]:
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self._news.get(timeout=patience) if patience else self._news.get_nowait())
            while True:
                found.append(self._news.get_nowait())
        return found

    def _tell(self, run: _Run, piece: str | Exception | None) -> list[Event]:
        before, self._heard = self._heard, time.monotonic()
        if isinstance(piece, Exception):
            return [self._fail(run, piece)]
        if piece is None:
            return [self._finish(run, "length" if run.is_full else "stop")]
        delta = run.feed(piece)
        if run.is_full:
            return [self._finish(run, "length", delta)]
        if run.position == len(run.job.tokens):
            self._figures["prompt_tokens"] += run.prompt_tokens
        else:
            self._figures["decode_seconds"] += self._heard - before
        self._figures["generated_tokens"] += 1
        run.position += 1
        token = Tokens(run.request.id, run.position, (UNKNOWN,), delta.text, delta.reasoning)
        return [token, self._finish(run, "stop")] if run.writer.stopped else [token]

    def _fail(self, run: _Run, error: Exception) -> Finish:
        if isinstance(error, TooLongError):
            kind = "context_length_exceeded"
            run.prompt_tokens = error.prompt_tokens
        else:
            kind = getattr(error, "kind", "engine_failed")
        sizes = {"prompt_tokens": run.prompt_tokens, "context_length": self.context_length}
        return self._finish(run, "error", error={"kind": kind, **sizes})

    def _finish(
        self,
        run: _Run,
        reason: str,
        last: Delta | None = None,
        error: dict[str, object] | None = None,
    ) -> Finish:
        del self._runs[run.request.id]
        run.ended = True
        rest, last = run.flush(), last or Delta()
        stats = {
            "prompt_tokens": run.prompt_tokens,
            "context_length": self.context_length,
            "left_out": run.left_out,
        }
        texts = (last.text + rest.text, last.reasoning + rest.reasoning)
        return Finish(run.request.id, reason, *texts, error, stats)


class _Run:
    """One answer: what it was asked, how far it is, and how it is read."""

    def __init__(self, job: Job) -> None:
        self.job, self.request = job, job.request
        self.position = len(job.tokens)
        self.prompt_tokens = self.left_out = 0
        # Tokens that it may have; 0: not known yet.
        self.limit = job.request.sampling.max_tokens or 0
        # Told to nobody any more; its thread looks at it behind each piece.
        self.ended = False
        plain = job.request.prompt is not None
        form = VERBATIM if plain else Format()
        self.writer = Writer(form, stop=job.request.sampling.stop)
        # Characters that readers have, though the writer has to wait for what follows them.
        self._known = [len(job.text), len(job.reasoning)]
        self._seam = ""
        self.feed(_raw(form, job))
        self._seam = " " if job.text.endswith(" ") else ""

    @property
    def is_full(self) -> bool:
        return 0 < self.limit <= self.position

    def feed(self, piece: str) -> Delta:
        if piece:
            piece, self._seam = piece.removeprefix(self._seam), ""
        return self._news(self.writer.feed(piece.encode()))

    def flush(self) -> Delta:
        return self._news(self.writer.flush())

    def _news(self, delta: Delta) -> Delta:
        return Delta(self._cut(0, delta.text), self._cut(1, delta.reasoning))

    def _cut(self, lane: int, text: str) -> str:
        known = self._known[lane]
        self._known[lane] = max(0, known - len(text))
        return text[known:]


def _raw(form: Format, job: Job) -> str:
    """What was said before a crash, as the model said it."""
    if not (form.think and job.reasoning):
        return job.text
    begin, end = form.think
    return f"{begin}{job.reasoning}{end}{job.text}" if job.text else f"{begin}{job.reasoning}"


def _refusal(request: Request) -> str | None:
    """The kind of what such an engine cannot do."""
    if request.inputs:
        return WrongModelError.kind
    if request.tools and request.tool_choice != "none":
        return "tools_refused"
    if request.shape.kind != "text":
        return "bad_schema" if request.shape.kind in {"json", "schema"} else "bad_grammar"
    return None
