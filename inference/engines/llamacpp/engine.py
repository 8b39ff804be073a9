"""The scheduler: each step computes the next token of every running answer and a slice of the
prompts that wait, in one batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count
from typing import Any

from inference.contract import Event, Finish, Job, ModelSpec, Progress, Request
from inference.engines.base import Info, Setup
from inference.engines.compiler import Compilation, Refusal
from inference.engines.disk import Disk
from inference.engines.llamacpp.grammar import Grammar, GrammarError, compiler
from inference.engines.llamacpp.model import LlamaModel, Rows
from inference.engines.llamacpp.pace import FEWEST, Pace, warm_up
from inference.engines.llamacpp.sampling import Logits, Sampler
from inference.engines.llamacpp.seats import Seats
from inference.engines.llamacpp.sequence import Sequence
from inference.engines.llamacpp.shares import Shares
from inference.engines.shelf import Shelf
from inference.engines.threads import Tuner
from inference.hardware import thread_counts
from inference.intake import Intake, Prompt, TooLongError
from inference.parse.writer import Writer
from inference.prompt import PromptError

# Seconds that the last writing to the disk may take.
CLOSING = 2.0
COUNTERS = (
    *("prompt_tokens", "generated_tokens", "steps", "batch"),
    *("prefill_seconds", "decode_seconds", "python_seconds"),
)


class LlamaCppEngine:
    """Serves many answers at once; a job that cannot begin ends with an error of its own."""

    model: LlamaModel

    def __init__(self) -> None:
        self._sequences: dict[str, Sequence] = {}
        # Those whose grammar is being proven harmless.
        self._compiling: list[tuple[Job, Compilation]] = []
        # Ends that were found between two steps.
        self._early: list[Event] = []
        self._arrivals = count()
        self._figures: dict[str, float] = dict.fromkeys(COUNTERS, 0.0)

    def load(self, spec: ModelSpec, setup: Setup, report: Callable[[float], None]) -> Info:
        self.model = LlamaModel(spec, setup, report)
        vocab = self.model.vocab
        context = self.model.context_length
        template = self.model.template()
        self.intake = Intake(vocab, context, template, bos=vocab.bos(), eos=vocab.eos())
        vocab.show(self.intake.marks)
        self._shelf = _shelf(self.model, setup)
        self.seats = Seats(self.model, self._shelf)
        self._compiler = compiler(vocab.pointer)
        self._pace = Pace(self.model.slice)
        self._shares = Shares(self.model, self.seats, self._pace)
        wanted = int(spec.settings.get("threads") or 0)
        counts = [wanted] if wanted else thread_counts()
        best = warm_up(self.model, counts)
        best = setup.threads if setup.threads in counts else best
        self._tuner = Tuner(counts, best)
        slots = self.model.slots
        return Info(slots, context, 2 * slots, best, self.model.gpu_layers)

    def add(self, job: Job) -> None:
        shape = self.intake.shape_for(job.request)
        if shape is None:
            self._refuse(job, "tool_choice_refused")
        elif shape.kind == "text":
            self._begin(job, None)
        else:
            self._compiling.append((job, self._compiler.start(shape)))

    def answer(self, request: Request) -> dict[str, Any]:
        return self.intake.answer(request)

    def cancel(self, id: str) -> None:
        if id in self._sequences:
            self._sequences[id].cancelled = True
        for entry in [e for e in self._compiling if e[0].request.id == id]:
            entry[1].cancel()
            self._compiling.remove(entry)
            self._early.append(Finish(id, "cancelled"))

    def busy(self) -> bool:
        return bool(self._sequences or self._early or self._compiling)

    def step(self) -> list[Event]:
        begun = time.perf_counter()
        events = self._settle()
        events += [Progress(sequence.id, "waiting") for sequence in self.seats.arrange()]
        shares = self._fitting(events)
        if not shares:
            # Only grammars are on their way, and they need no engine.
            time.sleep(0.002 if self._compiling else 0)
            return events
        computed, self.model.threads = 0.0, self._tuner.choose(sum(shares.values()))
        for sequences in self._shares.passes(shares):
            computed += self._compute({s: shares[s] for s in sequences}, events)
        self._tuner.saw(sum(shares.values()), computed)
        self._figures["steps"] += 1
        self._figures["batch"] = len(shares)
        events += self._reading()
        self._figures["python_seconds"] += time.perf_counter() - begun - computed
        return events

    def rest(self) -> bool:
        return self._shelf.tidy()

    def stats(self) -> dict[str, float]:
        return {
            **self._figures,
            **self._shelf.figures(),
            "running": len(self.seats),
            "waiting": len(self.seats.queue) + len(self._compiling),
            "slots": self.model.slots,
            "cells": self.model.cells,
            "cells_used": self.seats.cells_used,
            "threads": self._tuner.threads,
            "cached_tokens": self.seats.reused,
            "set_aside": self.seats.set_aside,
            "broken_prefixes": self.seats.broken,
        }

    def close(self) -> None:
        # What runs will go on in another process: with what is computed of it on the disk.
        for sequence in list(self.seats):
            self.seats.leave(sequence)
        self._shelf.close(CLOSING)

    def _settle(self) -> list[Event]:
        """What is decided between two steps: new ones, and ends of what must not go on."""
        for entry in self._compiling[:]:
            result = entry[1].poll()
            if result is not None:
                self._compiling.remove(entry)
                self._compiled(entry[0], result)
        reasons = [(s, s.reason(self.model.context_length)) for s in list(self._sequences.values())]
        ends = [self._end(sequence, reason) for sequence, reason in reasons if reason]
        early, self._early = self._early, []
        return [*early, *ends]

    def _compiled(self, job: Job, result: str | Refusal) -> None:
        if isinstance(result, Refusal):
            self._refuse(job, result.kind, detail=result.detail)
        else:
            self._begin(job, Grammar(result, self.model.vocab.pointer, self.model.vocab.size))

    def _begin(self, job: Job, grammar: Grammar | None) -> None:
        context = {"context_length": self.model.context_length}
        try:
            prompt = self.intake.read(job.request)
        except TooLongError as error:
            details = {"prompt_tokens": error.prompt_tokens, **context}
            self._refuse(job, "context_length_exceeded", **details)
        except PromptError as error:
            self._refuse(job, error.kind, detail=str(error), **context)
        else:
            sequence = self._sequence(job, prompt, grammar)
            self._sequences[sequence.id] = sequence
            self.seats.queue.append(sequence)

    def _sequence(self, job: Job, prompt: Prompt, grammar: Grammar | None) -> Sequence:
        sampling = job.request.sampling
        format = self.intake.format_for(job.request)
        sampler = Sampler(sampling, self.model.vocab, prompt.tokens, grammar)
        inside = format.opens_reasoning(prompt.text)
        tools = job.request.tools if job.request.tool_choice != "none" else ()
        writer = Writer(format, inside=inside, tools=tools, stop=sampling.stop)
        replays = self.model.replays
        sequence = Sequence(job, prompt, sampler, writer, next(self._arrivals), replays=replays)
        sequence.restore([self.model.vocab.piece(token) for token in job.tokens])
        return sequence

    def _refuse(self, job: Job, kind: str, **details: Any) -> None:
        stats = {key: value for key, value in details.items() if isinstance(value, int)}
        error = {"kind": kind, **details}
        self._early.append(Finish(job.request.id, "error", error=error, stats=stats))

    def _fitting(self, events: list[Event]) -> dict[Sequence, int]:
        """What the next step computes; where cells are shared and run out, not of everybody."""
        shares = self._shares.next()
        while self.model.shared_cells and (
            self.seats.cells_used + sum(shares.values()) > self.model.cells
        ):
            aside = self.seats.relieve()
            if aside is None:
                break
            events.append(Progress(aside.id, "waiting"))
            shares.pop(aside, None)
        return shares

    def _compute(self, shares: dict[Sequence, int], events: list[Event]) -> float:
        """One pass over the weights, and the next token of everybody whose logits it gives; its
        seconds."""
        rows, ends = Rows(), []
        for sequence, share in shares.items():
            begin, end = sequence.cached, sequence.cached + share
            whole = end == len(sequence.tokens)
            assert sequence.slot is not None
            rows.add(sequence.tokens[begin:end], begin, sequence.slot, wanted=whole)
            ends += [sequence] if whole else []
        begun = time.perf_counter()
        logits = self.model.decode(rows)
        seconds = time.perf_counter() - begun
        self._note(shares, seconds)
        events += [self._advance(sequence, logits[row]) for row, sequence in enumerate(ends)]
        return seconds

    def _note(self, shares: dict[Sequence, int], seconds: float) -> None:
        """What was computed, for whom, and how long it took."""
        writers = sum(sequence.writes for sequence in shares)
        for sequence, share in shares.items():
            sequence.cached += share
            self.seats.serve(sequence.user, share)
            if sequence.cached == sequence.prompt.published:
                self.seats.publish(sequence)
        read = sum(shares.values()) - writers
        usual = min(self._pace.usual(writers), seconds) if read and writers else 0.0
        # Fewer were all that was left of a prompt, and took a pass: it says nothing of a row.
        if read >= FEWEST:
            self._pace.read(read, seconds - usual)
        elif not read:
            self._pace.wrote(writers, seconds)
            usual = seconds
        self._figures["prompt_tokens"] += read
        self._figures["decode_seconds"] += usual
        self._figures["prefill_seconds"] += seconds - usual

    def _advance(self, sequence: Sequence, logits: Logits) -> Event:
        try:
            token = sequence.choose(logits)
        except GrammarError as error:
            return self._end(sequence, "error", {"kind": error.kind})
        sampling = sequence.job.request.sampling
        if token in sampling.stop_token_ids or token in self.model.vocab.ends:
            return self._end(sequence, "stop")
        self._figures["generated_tokens"] += 1
        return sequence.extend(token, self.model.vocab.piece(token), logits)

    def _reading(self) -> list[Event]:
        return [
            Progress(s.id, "reading", round(s.cached / len(s.tokens), 2))
            for s in self.seats
            if s.pending > 1
        ]

    def _end(self, sequence: Sequence, reason: str, error: dict[str, Any] | None = None) -> Finish:
        del self._sequences[sequence.id]
        self.seats.leave(sequence)
        return sequence.end(reason, self.model.context_length, error)


def _shelf(model: LlamaModel, setup: Setup) -> Shelf:
    disk = None
    if setup.disk_bytes and setup.cache_dir:
        disk = Disk(setup.cache_dir, model.identity, setup.disk_bytes)
    return Shelf(setup.shelf_bytes, disk, whole=not model.cuttable)
