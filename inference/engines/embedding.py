"""Vectors of texts: whole inputs of several people in one batch, each its own sequence. It writes
no tokens and remembers nothing between two steps."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from typing import Any

import llama_cpp
import numpy as np
import psutil
from numpy.typing import NDArray

from inference.contract import Event, Finish, Input, Job, ModelSpec, Request, Vector
from inference.engines.base import Info, LoadError, Setup, WrongModelError
from inference.engines.native import BF16, offers, read_weights
from inference.engines.turns import Turns, Work
from inference.engines.vocabulary import Vocabulary
from inference.engines.weights import locate
from inference.spelling import UnknownTokenError, checked, spell, told

# Inputs in one step, and the tokens after which no further input joins it.
INPUTS, STEP = 64, 512
# Longer inputs are refused where neither model nor admin says otherwise.
CONTEXT = 8192
POOLINGS = {"1": "mean", "2": "cls", "3": "last"}
# Parts of the names of architectures in which every token sees every other.
TWO_WAY = ("bert", "embedding", "encoder")


class LlamaCppEmbedder:
    """Takes inputs in turns: from user to user, and of each from job to job."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._works: dict[str, Work] = {}
        # Ends that were found between two steps.
        self._early: list[Event] = []
        self._figures = {"prompt_tokens": 0.0, "steps": 0.0, "batch": 0.0, "prefill_seconds": 0.0}

    def load(self, spec: ModelSpec, setup: Setup, report: Callable[[float], None]) -> Info:
        settings = spec.settings
        self._model = _load(spec, setup, report)
        self._vocab = Vocabulary(self._model)
        self._size = llama_cpp.llama_model_n_embd_out(self._model)
        trained = llama_cpp.llama_model_n_ctx_train(self._model) or CONTEXT
        asked = setup.context_length or settings.get("context_length") or CONTEXT
        self.context_length = min(int(asked), trained)
        kind = self._meta("general.architecture")
        self._pooling = settings.get("pooling") or POOLINGS.get(
            self._meta(f"{kind}.pooling_type"), "mean"
        )
        if self._pooling not in POOLINGS.values():
            raise LoadError(f"There is no pooling {self._pooling!r}.")
        self._normalize = bool(settings.get("normalize", True))
        # Of which lengths a vector's beginning is a vector, too: true for all, or a list.
        self._shorter = settings.get("matryoshka")
        two_way = self._meta(f"{kind}.attention.causal") == "false"
        threads = setup.threads or settings.get("threads") or psutil.cpu_count(logical=False) or 1
        self._open(int(threads), two_way or any(part in kind for part in TWO_WAY))
        self._compute([self.tokenize("a")])
        return Info(INPUTS, self.context_length, INPUTS, int(threads))

    def add(self, job: Job) -> None:
        request = job.request
        if not request.inputs:
            return self._refuse(job, kind=WrongModelError.kind)
        if not self._offers(request.dimensions):
            return self._refuse(job, kind="bad_dimensions", dimensions=self._size)
        try:
            inputs = [self._read(each) for each in request.inputs]
        except UnknownTokenError as error:
            return self._refuse(job, kind=error.kind)
        longest = max(map(len, inputs))
        if longest > self.context_length:
            limit = {"prompt_tokens": longest, "context_length": self.context_length}
            return self._refuse(job, kind="context_length_exceeded", **limit)
        work = Work(request.id, request.user, inputs, request.dimensions)
        self._works[work.id] = work
        return self._turns.join(work)

    def answer(self, request: Request) -> dict[str, Any]:
        task = request.task
        assert task
        if task.kind == "detokenize":
            return {"text": spell(self._vocab, task.tokens)}
        if request.prompt is None:
            raise WrongModelError
        tokens = self._spelled(request.prompt, marks=task.special)
        return told(self._vocab, tokens, self.context_length, pieces=task.pieces)

    def cancel(self, id: str) -> None:
        if work := self._works.pop(id, None):
            self._turns.leave(work)
            self._early.append(self._end(work, "cancelled"))

    def busy(self) -> bool:
        return bool(self._works or self._early)

    def step(self) -> list[Event]:
        events, self._early = self._early, []
        if chosen := self._turns.take(INPUTS, STEP):
            vectors = self._compute([work.inputs[index] for work, index in chosen])
            for (work, index), values in zip(chosen, vectors, strict=True):
                events += self._tell(work, index, values)
        return events

    def rest(self) -> bool:
        return False

    def stats(self) -> dict[str, float]:
        return {"running": len(self._works), "slots": INPUTS, **self._figures}

    def close(self) -> None:
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def tokenize(self, text: str) -> list[int]:
        """With the marks that the model wants around a text; marks inside it are plain text."""
        # A text of no tokens has a vector too.
        first = llama_cpp.llama_vocab_bos(self._vocab.pointer)
        return self._spelled(text, marks=True) or [max(first, 0)]

    def _spelled(self, text: str, *, marks: bool) -> list[int]:
        data = text.encode(errors="replace")
        ids = (llama_cpp.llama_token * (len(data) + 16))()
        size = llama_cpp.llama_tokenize(
            self._vocab.pointer, data, len(data), ids, len(ids), marks, False
        )
        return list(ids[:size])

    def _read(self, given: Input) -> list[int]:
        """An input's tokens; ids are taken as they are."""
        if isinstance(given, str):
            return self.tokenize(given)
        return [*checked(self._vocab, given)] or self.tokenize("")

    def _offers(self, dimensions: int) -> bool:
        if dimensions in (0, self._size):
            return True
        listed = isinstance(self._shorter, list) and dimensions in self._shorter
        return (self._shorter is True or listed) and 0 < dimensions < self._size

    def _tell(self, work: Work, index: int, values: NDArray[np.float32]) -> list[Event]:
        work.done += 1
        vector = Vector(work.id, index, tuple(self._cut(values, work.dimensions).tolist()))
        if work.done < len(work.inputs):
            return [vector]
        del self._works[work.id]
        return [vector, self._end(work, "stop")]

    def _cut(self, values: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """A vector's beginning, as long as it was itself."""
        if size in (0, len(values)):
            return values
        part = values[:size]
        length = float(np.linalg.norm(part)) if self._normalize else 0.0
        return np.asarray(part / length if length else part)

    def _end(self, work: Work, reason: str) -> Finish:
        count = sum(map(len, work.inputs))
        stats = {"prompt_tokens": count, "context_length": self.context_length}
        return Finish(work.id, reason, stats=stats)

    def _refuse(self, job: Job, **error: Any) -> None:
        self._early.append(Finish(job.request.id, "error", error=error))

    def _compute(self, inputs: list[list[int]]) -> list[NDArray[np.float32]]:
        """The vectors of the inputs, each of its whole length."""
        batch, begun = self._batch, time.perf_counter()
        rows = [(t, at, n) for n, tokens in enumerate(inputs) for at, t in enumerate(tokens)]
        batch.n_tokens = len(rows)
        for i, (token, position, sequence) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.logits[i] = token, position, True
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
        if self._memory:
            llama_cpp.llama_memory_clear(self._memory, False)
        code = self._run(self._context, batch)
        if code:
            raise RuntimeError(f"llama.cpp answered {code} for {len(rows)} tokens.")
        states: NDArray[np.float32] = np.ctypeslib.as_array(
            llama_cpp.llama_get_embeddings(self._context),
            shape=(len(rows), self._size),
        )
        ends = np.cumsum([len(tokens) for tokens in inputs])
        self._figures["prompt_tokens"] += len(rows)
        self._figures["steps"] += 1
        self._figures["batch"] = len(inputs)
        self._figures["prefill_seconds"] += time.perf_counter() - begun
        return [self._pool(part) for part in np.split(states, ends[:-1])]

    def _pool(self, states: NDArray[np.float32]) -> NDArray[np.float32]:
        """One vector of the states of all tokens, shape (tokens, dimensions)."""
        at = {"cls": 0, "last": -1}.get(self._pooling)
        vector = states.mean(axis=0) if at is None else states[at].copy()
        length = float(np.linalg.norm(vector)) if self._normalize else 0.0
        return np.asarray(vector / length if length else vector)

    def _open(self, threads: int, two_way: bool) -> None:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = max(STEP, self.context_length)
        # Where every token sees every other, an input cannot be cut.
        params.n_ubatch = params.n_batch if two_way else STEP
        params.n_seq_max, params.kv_unified = INPUTS, True
        params.n_threads = params.n_threads_batch = threads
        params.embeddings, params.no_perf = True, True
        params.pooling_type = llama_cpp.LLAMA_POOLING_TYPE_NONE
        params.type_k = params.type_v = BF16
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        if not self._context:
            raise LoadError(f"There is no memory for a context of {params.n_ctx} tokens.")
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(params.n_batch, 0, 1)
        encodes = llama_cpp.llama_model_has_encoder(self._model)
        self._run = llama_cpp.llama_encode if encodes else llama_cpp.llama_decode

    def _meta(self, key: str) -> str:
        buffer = ctypes.create_string_buffer(64)
        size = llama_cpp.llama_model_meta_val_str(self._model, key.encode(), buffer, len(buffer))
        return buffer.value.decode(errors="replace") if size >= 0 else ""


def _load(spec: ModelSpec, setup: Setup, report: Callable[[float], None]) -> Any:
    path = locate(spec.source)
    for layers in offers(setup.gpu_layers):
        if model := read_weights(path, setup.fast, layers, report):
            return model
    raise LoadError(f"llama.cpp refuses {path.name}, or there is no memory for it.")
