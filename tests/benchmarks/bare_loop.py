"""The least that decodes: `llama_decode` and the greatest logit of each sequence, nothing else. The
yardstick for what a scheduler costs; it shares no code with the engine."""

from __future__ import annotations

import ctypes
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

from tests.benchmarks.measuring import SOURCE

# ggml's number of the cache's type, which is the engine's.
F16 = 1
# What the starter model's template makes of a question.
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
CHAT = (
    f"<|im_start|>system\n{SYSTEM}<|im_end|>\n"
    "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
)
# Prompt tokens per call.
SLICE = 256


# llama.cpp tells of every tensor otherwise.
SILENT = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)


class BareLoop:
    """One context with the engine's settings: a stream of `context_length` cells per sequence."""

    def __init__(self, *, slots: int, context_length: int, threads: int) -> None:
        llama_cpp.llama_log_set(SILENT, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        settings = llama_cpp.llama_model_default_params()
        settings.use_extra_bufts = True
        self._model = llama_cpp.llama_model_load_from_file(str(weights()).encode(), settings)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = slots * context_length
        params.n_seq_max = slots
        params.n_batch = params.n_ubatch = max(SLICE, slots)
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = F16
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.kv_unified = False
        params.no_perf = True
        self._context = llama_cpp.llama_init_from_model(self._model, params)
        assert self._context, "There is no memory for the bare loop's context."
        self._vocab = llama_cpp.llama_model_get_vocab(self._model)
        self._vocab_size: int = llama_cpp.llama_vocab_n_tokens(self._vocab)
        self._batch = llama_cpp.llama_batch_init(max(SLICE, slots), 0, 1)
        # Where each sequence goes on, and with which token.
        self._positions: list[int] = []
        self._tokens: list[int] = []

    def begin(self, texts: list[str]) -> None:
        """Read as many prompts as there shall be sequences."""
        self.go_on([self._tokenize(CHAT.format(text)) for text in texts])

    def go_on(self, sequences: list[list[int]]) -> None:
        """The same with tokens: what another has read and written."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self._context), True)
        self._positions = [len(tokens) for tokens in sequences]
        self._tokens = []
        for number, tokens in enumerate(sequences):
            self._read(tokens, number)

    def decode(self, steps: int) -> float:
        """Tokens per second over so many steps."""
        start = time.perf_counter()
        for _ in range(steps):
            self._step()
        return steps * len(self._tokens) / (time.perf_counter() - start)

    def close(self) -> None:
        llama_cpp.llama_batch_free(self._batch)
        llama_cpp.llama_free(self._context)
        llama_cpp.llama_model_free(self._model)

    def _step(self) -> None:
        batch, tokens, positions = self._batch, self._tokens, self._positions
        count = batch.n_tokens = len(tokens)
        for sequence in range(count):
            batch.token[sequence] = tokens[sequence]
            batch.pos[sequence] = positions[sequence]
            batch.n_seq_id[sequence] = 1
            batch.seq_id[sequence][0] = sequence
            batch.logits[sequence] = True
        self._compute()
        pointer = llama_cpp.llama_get_logits(self._context)
        rows = np.ctypeslib.as_array(pointer, shape=(count, self._vocab_size))
        self._tokens = rows.argmax(axis=1).tolist()
        self._positions = [position + 1 for position in positions]

    def _read(self, prompt: list[int], sequence: int) -> None:
        for start in range(0, len(prompt), SLICE):
            part = prompt[start : start + SLICE]
            self._batch.n_tokens = len(part)
            for i, token in enumerate(part):
                self._batch.token[i] = token
                self._batch.pos[i] = start + i
                self._batch.n_seq_id[i] = 1
                self._batch.seq_id[i][0] = sequence
                self._batch.logits[i] = start + i == len(prompt) - 1
            self._compute()
        pointer = llama_cpp.llama_get_logits_ith(self._context, -1)
        row: Any = np.ctypeslib.as_array(pointer, shape=(self._vocab_size,))
        self._tokens.append(int(row.argmax()))

    def _compute(self) -> None:
        code = llama_cpp.llama_decode(self._context, self._batch)
        assert code == 0, f"llama_decode answered {code}."

    def _tokenize(self, text: str) -> list[int]:
        data = text.encode()
        ids = (llama_cpp.llama_token * (len(data) + 16))()
        count = llama_cpp.llama_tokenize(self._vocab, data, len(data), ids, len(ids), False, True)
        return list(ids[:count])


def weights() -> Path:
    found = find_spec(SOURCE["package"])
    assert found is not None
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / SOURCE["file"]
