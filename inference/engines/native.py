"""llama.cpp's library itself, for the engines that compute with it: its kernels, its log, and
weights read from a file. It makes no context."""

from __future__ import annotations

import ctypes
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llama_cpp
from llama_cpp._ggml import libggml, libggml_base_path

log = logging.getLogger("inference.engine")

# ggml's numbers of the types; the bindings do not name them.
F16, BF16 = 1, 30


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _hear(level: int, text: bytes, _: int) -> None:
    # 3 and 4 are warnings and errors; below is chatter about every tensor.
    if level in {3, 4}:
        log.info("llama.cpp: %s", text.decode(errors="replace").strip())


@cache
def kernels() -> int:
    """How many kinds of processors llama.cpp can compute on now. Left alone it would look for their
    libraries beside the program and in the folder that it was started in."""
    if not libggml.ggml_backend_reg_count():
        libggml.ggml_backend_load_all_from_path(os.fsencode(libggml_base_path))
    return int(libggml.ggml_backend_reg_count())


def offers(wanted: int) -> list[int]:
    """Numbers of layers to try on the GPU, the most first; a build without one knows only 0."""
    kernels()
    if not llama_cpp.llama_supports_gpu_offload():
        return [0]
    return [wanted, 0] if wanted > 0 else [0] if wanted == 0 else [999, 48, 32, 24, 16, 8, 0]


def read_weights(path: Path, fast: bool, gpu_layers: int, report: Callable[[float], None]) -> Any:
    """llama.cpp's model, 0 where it refuses the file."""
    llama_cpp.llama_log_set(_hear, ctypes.c_void_p(0))
    kernels()
    llama_cpp.llama_backend_init()

    @llama_cpp.llama_progress_callback
    def progress(fraction: float, _: int) -> bool:
        report(fraction)
        return True

    params = llama_cpp.llama_model_default_params()
    params.use_extra_bufts = fast
    params.n_gpu_layers = gpu_layers
    params.progress_callback = progress
    return llama_cpp.llama_model_load_from_file(str(path).encode(), params)
