"""vLLM as an engine: every job joins its continuous batch, and what it writes is read here as all
other engines' answers are."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import queue
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inference import descent
from inference.contract import Event, Finish, Job, ModelSpec, Progress, Request
from inference.engines.base import Info, Setup
from inference.engines.compiler import Compilation, Compiler, Refusal
from inference.engines.vllm import arguments
from inference.engines.vllm.answer import Answer
from inference.engines.vllm.loading import Voice, reason
from inference.engines.vllm.meter import Meter
from inference.engines.vllm.reasoning import behind
from inference.engines.vllm.sampling import HABITS, extras, words
from inference.engines.vllm.vocabulary import Vocabulary, template_of
from inference.engines.weights import locate_folder
from inference.hardware import vllm_on_processor
from inference.intake import Intake, TooLongError
from inference.parse.writer import Writer
from inference.prompt import PromptError
from inference.settings import hang_s

log = logging.getLogger("inference.engine")
# Seconds that a step waits for something to come; a new job waits for it, too.
STEP = 0.01
# Bytes of vLLM's processes beside the weights while they load.
BASE = 1800 << 20


class VllmEngine:
    """The source is a folder of safetensors. Nothing is handed to vLLM that it could not begin."""

    intake: Intake
    vocab: Vocabulary

    def __init__(self) -> None:
        self._answers: dict[str, Answer] = {}
        # Those whose grammar is being proven harmless.
        self._compiling: list[tuple[Job, Compilation]] = []
        # Ends and first words that were found between two steps.
        self._early: list[Event] = []
        self._meter = Meter()
        self._slots = self._room = 0
        self._core: Any = None
        self._compiler: Compiler | None = None

    def load(self, spec: ModelSpec, setup: Setup, report: Callable[[float], None]) -> Info:
        path = locate_folder(spec.source)
        # Before anything of vLLM is imported, by itself or by its children.
        os.environ.update(arguments.environ(vllm_on_processor()))
        chosen = arguments.arguments(path, spec, setup)
        voice, whole = Voice(), BASE + _size(path) + setup.kv_bytes
        try:
            module = importlib.import_module("inference.engines.vllm.core")
            self._core = module.Core(chosen, self._meter)
            self._core.start(lambda: report(_fraction(whole)))
        except Exception as error:
            # The reason stands in what the children said; their last words come a little later.
            time.sleep(0.2)
            raise reason(error, voice.text()) from error
        self._read(path)
        many = int(chosen.get("data_parallel_size", 1))
        self._slots = many * arguments.slots(spec, setup)
        return Info(self._slots, self._room, many * int(chosen["max_num_seqs"]))

    def answer(self, request: Request) -> dict[str, Any]:
        return self.intake.answer(request)

    def add(self, job: Job) -> None:
        shape = self.intake.shape_for(job.request)
        if shape is None:
            self._refuse(job, "tool_choice_refused")
        elif shape.kind == "text":
            self._begin(job, "")
        else:
            assert self._compiler
            self._compiling.append((job, self._compiler.start(shape)))

    def cancel(self, id: str) -> None:
        if answer := self._answers.pop(id, None):
            self._core.cancel(answer)
            self._early.append(answer.end("cancelled", self._room))
        for entry in [e for e in self._compiling if e[0].request.id == id]:
            entry[1].cancel()
            self._compiling.remove(entry)
            self._early.append(Finish(id, "cancelled"))

    def busy(self) -> bool:
        return bool(self._answers or self._early or self._compiling)

    def step(self) -> list[Event]:
        """What has come, or what comes within a moment."""
        for entry in self._compiling[:]:
            result = entry[1].poll()
            if result is not None:
                self._compiling.remove(entry)
                self._compiled(entry[0], result)
        events, self._early = self._early, []
        for answer, piece in self._hear(0 if events else STEP):
            # What comes behind an end is told by nobody.
            if self._answers.get(answer.id) is answer:
                events += self._tell(answer, piece)
        return events

    def rest(self) -> bool:
        return False

    def stats(self) -> dict[str, float]:
        figures = self._meter.figures()
        return {
            **figures,
            "running": len(self._answers),
            "waiting": len(self._compiling),
            "slots": self._slots,
        }

    def close(self) -> None:
        self._core.close()

    def _read(self, path: Path) -> None:
        """How the model's requests and answers are read."""
        llm = self._core.llm
        config, tokenizer = llm.model_config, llm.get_tokenizer()
        self._room = config.max_model_len
        self._meter.cells = self._core.cells
        self.vocab = Vocabulary(tokenizer, config.get_vocab_size(), _ends(path, tokenizer))
        bos, eos = self.vocab.bos(), self.vocab.eos()
        self.intake = Intake(self.vocab, self._room, template_of(tokenizer), bos=bos, eos=eos)
        self.vocab.show(self.intake.marks)
        grammar = importlib.import_module("inference.engines.vllm.grammar")
        self._compiler = grammar.compiler(tokenizer, self.vocab.size, sorted(self.vocab.ends))

    def _compiled(self, job: Job, result: str | Refusal) -> None:
        if isinstance(result, Refusal):
            self._refuse(job, result.kind, detail=result.detail)
        else:
            self._begin(job, result)

    def _begin(self, job: Job, grammar: str) -> None:
        context = {"context_length": self._room}
        try:
            answer = self._answer(job, grammar)
        except TooLongError as error:
            details = {"prompt_tokens": error.prompt_tokens, **context}
            self._refuse(job, "context_length_exceeded", **details)
        except PromptError as error:
            self._refuse(job, error.kind, detail=str(error), **context)
        else:
            if end := answer.reason(self._room):
                self._early.append(answer.end(end, self._room))
            else:
                self._ask(answer)

    def _answer(self, job: Job, grammar: str) -> Answer:
        prompt, format = self.intake.read(job.request), self.intake.format_for(job.request)
        inside = format.opens_reasoning(prompt.text)
        if grammar and inside and format.think:
            # Reasoning is free: the form that was asked for is the answer's.
            grammar = behind(grammar, format.think[1])
        tools = job.request.tools if job.request.tool_choice != "none" else ()
        writer = Writer(format, inside=inside, tools=tools, stop=job.request.sampling.stop)
        return Answer(job, prompt, writer, self.vocab, grammar)

    def _ask(self, answer: Answer) -> None:
        sampling, emitted = answer.job.request.sampling, answer.job.tokens
        chosen = words(sampling, self.vocab, emitted, answer.grammar)
        more = extras(sampling, emitted, answer.grammar)
        if more.keys() & HABITS and not arguments.has_habits():
            kind = "parameter_unsupported" if "typical_p" in more else "answer_interrupted"
            self._early.append(answer.end("error", self._room, {"kind": kind}))
            return
        chosen["extra_args"] = more or None
        running = Counter(other.user for other in self._answers.values())
        if not self._answers:
            self._meter.rest()
        self._answers[answer.id] = answer
        ask = self._core.ask(
            answer.id,
            chosen,
            grammar=answer.grammar,
            # What is computed for one user is of no use to another (R17).
            salt=f"user {answer.user}",
            # Where the cells run out, who has the most at once gives way first.
            priority=running[answer.user],
        )
        self._core.submit(answer, answer.tokens, ask)
        self._early.append(Progress(answer.id, "reading"))

    def _hear(self, patience: float) -> list[tuple[Answer, Any]]:
        found: list[tuple[Answer, Any]] = []
        with contextlib.suppress(queue.Empty):
            if self._answers:
                found.append(self._core.outputs.get(timeout=patience))
                while True:
                    found.append(self._core.outputs.get_nowait())
        if not self._answers and not self._early:
            # Only grammars are on trial.
            time.sleep(patience)
        if not found and self._answers and self._meter.hangs(hang_s()):
            raise self._core.dead("vLLM makes no step.")
        return found

    def _tell(self, answer: Answer, piece: Any) -> list[Event]:
        if isinstance(piece, Exception):
            return [self._fail(answer, piece)]
        (written,) = piece.outputs
        if piece.num_cached_tokens and not answer.reused:
            answer.reused = piece.num_cached_tokens
        first = answer.position == len(answer.job.tokens)
        ended = written.finish_reason
        event = answer.take(written.token_ids, written.logprobs, stops=ended == "stop")
        if first:
            self._note(answer)
        events: list[Event] = [event] if event else []
        self._meter.count(generated_tokens=len(event.tokens) if event else 0)
        if answer.reason(self._room) and not ended:
            self._core.cancel(answer)
        if why := answer.reason(self._room) or ended:
            events.append(self._end(answer, why))
        return events

    def _note(self, answer: Answer) -> None:
        read = len(answer.tokens) - answer.reused
        hit = int(answer.reused > 0)
        self._meter.count(prompt_tokens=read, cached_tokens=answer.reused, hits=hit, misses=1 - hit)

    def _end(self, answer: Answer, why: str) -> Finish:
        if why == "abort":
            # Nobody's wish: whose answer is stopped is not heard any more. vLLM's own process was
            # told to end, as the system does when it shuts down; all go on where there is another.
            raise self._core.dead("vLLM ends.")
        del self._answers[answer.id]
        if why in {"stop", "length"}:
            return answer.end(why, self._room)
        # A grammar that cannot be restored must not begin a second time in one answer.
        lost = answer.grammar and answer.job.tokens
        kind = "answer_interrupted" if lost else "engine_failed"
        return answer.end("error", self._room, {"kind": kind})

    def _fail(self, answer: Answer, error: Exception) -> Finish:
        if isinstance(error, self._core.dead):
            # Whoever started this process starts another, and all go on there.
            raise error
        log.error("vLLM refuses an answer: %s", type(error).__name__)
        return self._end(answer, "error")

    def _refuse(self, job: Job, kind: str, **details: Any) -> None:
        stats = {key: value for key, value in details.items() if isinstance(value, int)}
        error = {"kind": kind, **details}
        self._early.append(Finish(job.request.id, "error", error=error, stats=stats))


def _fraction(whole: int) -> float:
    """How far it is loaded, by the memory that is taken: vLLM tells nothing."""
    return min(0.95, descent.memory(os.getpid())[0] / whole)


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in path.glob("*.safetensors"))


def _ends(path: Path, tokenizer: Any) -> list[int]:
    """The tokens that end an answer: the tokenizer's, and those that the model's makers name."""
    told: Any = None
    with contextlib.suppress(OSError, ValueError):
        told = json.loads((path / "generation_config.json").read_text()).get("eos_token_id")
    named = told if isinstance(told, list) else [told]
    return [token for token in {tokenizer.eos_token_id, *named} if isinstance(token, int)]
