"""The weights, the context and the vocabulary: how llama.cpp computes a step, and nothing that
decides."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from inference.contract import ModelSpec
from inference.engines.base import LoadError, Setup
from inference.engines.native import BF16, F16, offers, read_weights
from inference.engines.vocabulary import Vocabulary
from inference.engines.weights import locate
from inference.hardware import processor

# The longest slice of prompts in one step, in tokens; where the context is long a shorter one, down
# to the least, so that the scores of attention (a number for each row, head and cell) take no more
# than so many bytes.
SLICE, LEAST_SLICE, SCORES = 256, 8, 128 << 20
# Attention without and with the kernel of that name.
FLASH = (
    llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
)


class LlamaModel:
    """One model with one context of `slots` sequences, `context_length` tokens each."""

    def __init__(self, spec: ModelSpec, setup: Setup, report: Callable[[float], None]) -> None:
        """Load, or raise LoadError."""
        self.path = locate(spec.source)
        self._fast = setup.fast
        for layers in offers(setup.gpu_layers):
            self._model = read_weights(self.path, setup.fast, layers, report)
            if not self._model:
                continue
            self.gpu_layers = layers
            self._plan(spec, setup)
            self.context = llama_cpp.llama_init_from_model(self._model, self._params())
            if self.context:
                break
            llama_cpp.llama_model_free(self._model)
        else:
            raise LoadError(f"llama.cpp refuses {self.path.name}, or there is no memory for it.")
        self._memory = llama_cpp.llama_get_memory(self.context)
        self.vocab = Vocabulary(self._model)
        self._rows = _Rows(self._batch)
        self._threads = int(llama_cpp.llama_n_threads(self.context))
        # The last step's logits: where they lay, and how many rows.
        self._seen = (0, 0)
        # Tokens of attention that cost one row as much as a pass over the weights costs all.
        self.reach: int = llama_cpp.llama_model_size(self._model) // self._token_bytes()

    def _plan(self, spec: ModelSpec, setup: Setup) -> None:
        trained = llama_cpp.llama_model_n_ctx_train(self._model)
        wanted = int(setup.context_length or spec.settings.get("context_length") or 8192)
        self.context_length = min(wanted, trained) if trained else wanted
        self.slots = int(setup.slots or spec.settings.get("slots") or 4)
        # Cells that all sequences share; 0 where each has its own.
        self.shared_cells = setup.shared_cells
        self.cells = setup.shared_cells or self.context_length * self.slots
        recurrent = llama_cpp.llama_model_is_recurrent(self._model)
        hybrid = llama_cpp.llama_model_is_hybrid(self._model)
        # Whether the end of a sequence can be taken away again.
        self.cuttable = not (recurrent or hybrid or llama_cpp.llama_model_n_swa(self._model))
        # A single row of a sequence is computed otherwise than several, and several all the same:
        # what was written has to be replayed row by row to give the same numbers again.
        self.replays = not (self.gpu_layers or self.shared_cells)
        self.slice = SLICE
        if self.replays:
            scores = 4 * self.context_length * llama_cpp.llama_model_n_head(self._model)
            self.slice = max(LEAST_SLICE, min(SLICE, SCORES // max(1, scores)))
        # Rows of one pass: readers have their own where each sequence has its own cells.
        self._batch = self.slice + self.slots if self.shared_cells else max(self.slice, self.slots)

    def _params(self) -> Any:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = self.cells
        params.n_seq_max = self.slots
        # One stream each: attention then costs what the sequence itself is long, not what all are.
        params.kv_unified = bool(self.shared_cells)
        params.n_batch = params.n_ubatch = self._batch
        params.no_perf = True
        # Why: docs/architecture.md, "Attention on a processor".
        shared = self.shared_cells and not self.gpu_layers
        params.type_k = params.type_v = BF16 if shared else F16
        params.flash_attn_type = FLASH[not self.replays]
        return params

    def _token_bytes(self) -> int:
        """What the cache keeps of a token, in bytes; about, where layers differ."""
        model = self._model
        heads = llama_cpp.llama_model_n_head(model) or 1
        width: int = llama_cpp.llama_model_n_embd(model) * llama_cpp.llama_model_n_head_kv(model)
        # Key and value of each layer, two bytes for each number.
        layers: int = llama_cpp.llama_model_n_layer(model)
        return max(1, 4 * layers * width // heads)

    @property
    def identity(self) -> str:
        """Whose states can be taken back: of this file, by this build, in this kind of context."""
        stat = self.path.stat()
        with self.path.open("rb") as file:
            head = hashlib.sha256(file.read(1 << 20)).hexdigest()
        build = f"{llama_cpp.__version__} {processor()}"
        kind = f"{self._fast} {self.gpu_layers} {bool(self.shared_cells)} {self.replays}"
        return f"{head} {stat.st_size} {stat.st_mtime_ns} {build} {kind}"

    @property
    def threads(self) -> int:
        return self._threads

    @threads.setter
    def threads(self, count: int) -> None:
        if count == self._threads:
            return
        self._threads = count
        llama_cpp.llama_set_n_threads(self.context, count, count)

    def decode(self, rows: Rows) -> NDArray[np.float32]:
        """Compute one step; the logits of the rows that want some, shape (wanted, vocab_size),
        valid until the next step. RuntimeError where it fails."""
        batch = self._rows.fill(rows)
        code = llama_cpp.llama_decode(self.context, batch)
        if code:
            raise RuntimeError(f"llama_decode answered {code} for {len(rows.tokens)} tokens.")
        wanted = sum(rows.wanted)
        if not wanted:
            # Not begun before it is waited for: the time belongs to this step.
            llama_cpp.llama_synchronize(self.context)
            return np.empty((0, self.vocab.size), np.float32)
        pointer = llama_cpp.llama_get_logits(self.context)
        address = ctypes.addressof(pointer.contents)
        # It rarely moves, and to make an array of it costs a tenth of a step's Python.
        if (address, wanted) != self._seen:
            self._seen = address, wanted
            self._logits = np.ctypeslib.as_array(pointer, shape=(wanted, self.vocab.size))
        return self._logits

    def forget(self, slot: int) -> None:
        """Free a slot's cells."""
        llama_cpp.llama_memory_seq_rm(self._memory, slot, -1, -1)

    def cut(self, slot: int, keep: int) -> bool:
        """Keep the first `keep` tokens of a slot; False where this model's memory cannot do it."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, slot, keep, -1))

    def state(self, slot: int) -> bytes:
        """What is computed in a slot, its used cells only."""
        size = llama_cpp.llama_state_seq_get_size(self.context, slot)
        # Written by llama.cpp before anybody else has it: a copy of 70 MB would take as long again.
        data: bytes = _new_bytes(None, size)
        if llama_cpp.llama_state_seq_get_data(self.context, _memory(data), size, slot) != size:
            raise RuntimeError(f"llama.cpp gave less than the {size} bytes of a state.")
        return data

    def restore(self, slot: int, state: bytes) -> bool:
        """Put a state into an empty slot; False where llama.cpp does not take it."""
        size = len(state)
        return bool(llama_cpp.llama_state_seq_set_data(self.context, _memory(state), size, slot))

    def free(self) -> None:
        """Give its memory back; nothing else may be asked of it then."""
        llama_cpp.llama_free(self.context)
        llama_cpp.llama_model_free(self._model)

    def template(self) -> str:
        """The chat template in the model file, "" where it has none."""
        text = llama_cpp.llama_model_chat_template(self._model, None)
        return text.decode() if text else ""

    def used(self, slot: int) -> int:
        """Tokens of a slot that are computed."""
        return int(llama_cpp.llama_memory_seq_pos_max(self._memory, slot)) + 1


class Rows:
    """One step's tokens, each with its position, its slot and whether its logits are wanted."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.slots: list[int] = []
        self.wanted: list[bool] = []

    def add(self, tokens: Sequence[int], position: int, slot: int, *, wanted: bool) -> None:
        """Tokens of one sequence in a row; `wanted` is for the last of them."""
        count = len(tokens)
        self.tokens += tokens
        self.positions += range(position, position + count)
        self.slots += [slot] * count
        self.wanted += [False] * (count - 1) + [wanted]


class _Rows:
    """The memory of a llama_batch, written by numpy: ctypes takes a microsecond for each number."""

    def __init__(self, size: int) -> None:
        self._token = np.zeros(size, np.int32)
        self._pos = np.zeros(size, np.int32)
        self._count = np.ones(size, np.int32)
        self._seq = np.zeros(size, np.int32)
        self._logits = np.zeros(size, np.int8)
        step = self._seq.itemsize
        self._seqs = np.arange(size, dtype=np.uint64) * step + np.uint64(self._seq.ctypes.data)
        batch: Any = llama_cpp.llama_batch()
        self._batch = batch
        batch.token = self._token.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token))
        batch.pos = self._pos.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_pos))
        batch.n_seq_id = self._count.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        pointers = ctypes.POINTER(ctypes.POINTER(llama_cpp.llama_seq_id))
        batch.seq_id = self._seqs.ctypes.data_as(pointers)
        batch.logits = self._logits.ctypes.data_as(ctypes.POINTER(ctypes.c_int8))

    def fill(self, rows: Rows) -> Any:
        count = len(rows.tokens)
        self._batch.n_tokens = count
        self._token[:count] = rows.tokens
        self._pos[:count] = rows.positions
        self._seq[:count] = rows.slots
        self._logits[:count] = rows.wanted
        return self._batch


_new_bytes = ctypes.pythonapi.PyBytes_FromStringAndSize
_new_bytes.restype = ctypes.py_object
_new_bytes.argtypes = [ctypes.c_char_p, ctypes.c_ssize_t]


def _memory(data: bytes) -> Any:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.POINTER(ctypes.c_uint8))
