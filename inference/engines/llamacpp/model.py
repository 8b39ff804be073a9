"""The weights, the context and the vocabulary: everything that calls llama.cpp, and nothing that
decides."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from inference.contract import ModelSpec
from inference.engines.base import LoadError

log = logging.getLogger("inference.engine")

# Prompt tokens per step: long enough for a fast prefill, short enough that streams beside it do
# not stall.
SLICE = 256
# ggml's number of the type; the bindings do not name it.
BF16 = 30


def locate(source: dict[str, str]) -> Path:
    """The weights' path: {"path"} as it is, {"package", "file"} inside an installed package."""
    if "path" in source:
        path = Path(source["path"])
    else:
        found = importlib.util.find_spec(source.get("package", ""))
        if found is None or not found.submodule_search_locations:
            raise LoadError(f"The package {source.get('package')!r} is not installed.")
        path = Path(found.submodule_search_locations[0]) / source["file"]
    if not path.is_file():
        raise LoadError(f"There is no file {path}.")
    return path


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _hear(level: int, text: bytes, _: int) -> None:
    # 3 and 4 are warnings and errors; below is chatter about every tensor.
    if level in {3, 4}:
        log.info("llama.cpp: %s", text.decode(errors="replace").strip())


class LlamaModel:
    """One model with one context of `slots` sequences, `context_length` tokens each."""

    def __init__(
        self, spec: ModelSpec, *, fast: bool, threads: int, report: Callable[[float], None]
    ) -> None:
        """Load, or raise LoadError. `fast` repacks weights for this processor's widest kernels."""
        llama_cpp.llama_log_set(_hear, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self._model = _load(locate(spec.source), fast, report)
        trained = llama_cpp.llama_model_n_ctx_train(self._model)
        wanted = int(spec.settings.get("context_length") or 8192)
        self.context_length = min(wanted, trained) if trained else wanted
        self.slots = int(spec.settings.get("slots") or 4)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = self.context_length * self.slots
        params.n_seq_max = self.slots
        params.n_batch = params.n_ubatch = SLICE + self.slots
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        # With f16 ggml uses three attention kernels, by the number of rows, whose logits differ by
        # up to 0.8: a resumed answer would take another turn. bf16 has one kernel, so a prefill of
        # logged tokens gives what token by token gave. Costs about a quarter of the speed of a long
        # prefill.
        params.type_k = params.type_v = BF16
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED
        self.context = llama_cpp.llama_init_from_model(self._model, params)
        if not self.context:
            raise LoadError(f"There is no memory for a context of {params.n_ctx} tokens.")
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.vocab = llama_cpp.llama_model_get_vocab(self._model)
        self.vocab_size: int = llama_cpp.llama_vocab_n_tokens(self.vocab)
        self._batch = llama_cpp.llama_batch_init(SLICE + self.slots, 0, 1)

    def decode(self, rows: Sequence[tuple[int, int, int, bool]]) -> None:
        """One step over (token, position, sequence, wants logits) rows; RuntimeError where it
        fails."""
        batch = self._batch
        batch.n_tokens = len(rows)
        for i, (token, position, sequence, logits) in enumerate(rows):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = sequence
            batch.logits[i] = logits
        code = llama_cpp.llama_decode(self.context, batch)
        if code:
            raise RuntimeError(f"llama_decode answered {code} for {len(rows)} tokens.")

    def logits(self, row: int) -> NDArray[np.float32]:
        """The logits of a row of the last step, shape (vocab_size,); valid until the next one."""
        pointer = llama_cpp.llama_get_logits_ith(self.context, row)
        return np.ctypeslib.as_array(pointer, shape=(self.vocab_size,))

    def forget(self, sequence: int) -> None:
        """Free a sequence's cells."""
        llama_cpp.llama_memory_seq_rm(self.memory, sequence, -1, -1)

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        """Token ids of a text; `special` reads marks such as <|im_end|> as the tokens they name."""
        # Half a surrogate pair is no text; it must not end the engine.
        data = text.encode(errors="replace")
        size = len(data) + 16
        ids = (llama_cpp.llama_token * size)()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), ids, size, False, special)
        if count < 0:
            raise RuntimeError(f"llama_tokenize needs {-count} tokens for {len(data)} bytes.")
        return list(ids[:count])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of a token; a special token has none unless they are asked for."""
        buffer = ctypes.create_string_buffer(256)
        size = llama_cpp.llama_token_to_piece(self.vocab, token, buffer, 256, 0, special)
        return buffer.raw[: max(size, 0)]

    def ends(self, token: int) -> bool:
        return bool(llama_cpp.llama_vocab_is_eog(self.vocab, token))

    def bos(self) -> str:
        """The text of the token that begins a document, "" where the model adds none."""
        return self._text(llama_cpp.llama_vocab_bos(self.vocab))

    def eos(self) -> str:
        return self._text(llama_cpp.llama_vocab_eos(self.vocab))

    def template(self) -> str:
        """The chat template in the model file, "" where it has none."""
        text = llama_cpp.llama_model_chat_template(self._model, None)
        return text.decode() if text else ""

    def _text(self, token: int) -> str:
        return self.piece(token, special=True).decode(errors="replace") if token >= 0 else ""


def _load(path: Path, fast: bool, report: Callable[[float], None]) -> Any:
    @llama_cpp.llama_progress_callback
    def progress(fraction: float, _: int) -> bool:
        report(fraction)
        return True

    params = llama_cpp.llama_model_default_params()
    params.use_extra_bufts = fast
    params.progress_callback = progress
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise LoadError(f"llama.cpp refuses {path.name}.")
    return model
